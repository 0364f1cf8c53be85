"""Converts a `TrainingJob` into an MPIJob of mpi-operator v0.8 (kubeflow.org/v2beta1)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from components.mpijob.environment import environment
from components.mpijob.job import HOME, SSH_FOLDER, SSH_PORT, USER, Resources, Toleration, TrainingJob
from components.mpijob.mpirun import launcher_command

API_VERSION = "kubeflow.org/v2beta1"
JOB_LABEL = "training.kubeflow.org/job-name"
ROLE_LABEL = "training.kubeflow.org/job-role"
# Hash of the settings: a step joins an existing job of the same name only if it is equal.
SETTINGS_ANNOTATION = "frcnn.io/settings"

Manifest = dict[str, Any]
# The launcher computes nothing.
_LAUNCHER = Resources(cpu="1", memory="1Gi", shared_memory="64Mi")
# The launcher's pod and log are kept for a day after its end. The MPIJob itself stays.
_KEEP_SECONDS = 24 * 3600


def manifest(job: TrainingJob) -> Manifest:
    """Builds the MPIJob.

    Equal jobs have equal manifests; a different owner changes only `ownerReferences`.

    Args:
        job: Training job.

    Returns:
        MPIJob as JSON.
    """
    spec = _spec(job)
    metadata: Manifest = {
        "name": job.name,
        "namespace": job.namespace,
        "labels": labels_of(job),
        "annotations": {SETTINGS_ANNOTATION: settings_of(spec)},
    }
    if job.owner:
        metadata["ownerReferences"] = [owner_reference(job)]
    return {"apiVersion": API_VERSION, "kind": "MPIJob", "metadata": metadata, "spec": spec}


def settings_of(spec: Manifest) -> str:
    """Computes a hash of a job's settings.

    Args:
        spec: `spec` of the MPIJob.

    Returns:
        Hash, 32 hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:32]


def owner_reference(job: TrainingJob) -> Manifest:
    """Builds the owner reference to the step's pod; the cluster deletes the job after this pod.

    Args:
        job: Training job with an owner.

    Returns:
        Owner reference as JSON.

    Raises:
        ValueError: The job has no owner.
    """
    if job.owner is None:
        raise ValueError(f"{job.name} has no owner")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": job.owner.name,
        "uid": job.owner.uid,
        # True has no benefit here, and some clusters require the right to update the pod's finalizers for it.
        "blockOwnerDeletion": False,
        "controller": False,
    }


def _spec(job: TrainingJob) -> Manifest:
    policy: Manifest = {
        # Running: deletes only pods that still run. Finished pods and their logs are kept.
        "cleanPodPolicy": "Running",
        "backoffLimit": job.backoff_limit,
        "ttlSecondsAfterFinished": _KEEP_SECONDS,
    }
    if job.deadline_seconds is not None:
        policy["activeDeadlineSeconds"] = job.deadline_seconds
    return {
        "slotsPerWorker": job.slots_per_worker,
        "mpiImplementation": "OpenMPI",
        # Otherwise the launcher would fail until the workers' images are pulled, and use up backoffLimit.
        "launcherCreationPolicy": "WaitForWorkersReady",
        "sshAuthMountPath": SSH_FOLDER,
        "runPolicy": policy,
        "mpiReplicaSpecs": {
            "Launcher": {"replicas": 1, "restartPolicy": "Never", "template": _launcher(job)},
            # OnFailure: the kubelet restarts a worker whose sshd was killed, for example out of memory. The
            # operator replaces only deleted pods, not failed ones.
            "Worker": {"replicas": job.workers, "restartPolicy": "OnFailure", "template": _worker(job)},
        },
    }


def labels_of(job: TrainingJob) -> Manifest:
    """Returns the labels of a job and its pods.

    Args:
        job: Training job.
    """
    return {
        "app.kubernetes.io/name": "frcnn",
        "app.kubernetes.io/component": "training",
        "app.kubernetes.io/instance": job.name,
        **job.labels,
    }


def training_pod(job: TrainingJob, name: str, command: list[str]) -> Manifest:
    """Builds the template of a pod that trains alone, with the resources and places of a worker.

    Args:
        job: Training job.
        name: Name of the container.
        command: Command of the container.

    Returns:
        Pod template as JSON.
    """
    container = _container(job, name, job.worker)
    container["command"] = command
    pod = _pod(job, container, job.worker)
    _place(pod, job.node_selector, job.tolerations)
    return pod


def _launcher(job: TrainingJob) -> Manifest:
    container = _container(job, "launcher", _LAUNCHER)
    container["command"] = launcher_command(job)
    pod = _pod(job, container, _LAUNCHER)
    _place(pod, job.launcher_node_selector, job.launcher_tolerations)
    return pod


def _worker(job: TrainingJob) -> Manifest:
    container = _container(job, "worker", job.worker)
    container |= {
        "command": ["/usr/sbin/sshd"],
        "args": ["-De", "-f", f"{HOME}/.sshd_config"],
        "ports": [{"name": "ssh", "containerPort": SSH_PORT, "protocol": "TCP"}],
        "readinessProbe": {"tcpSocket": {"port": SSH_PORT}, "initialDelaySeconds": 1, "periodSeconds": 2},
    }
    pod = _pod(job, container, job.worker)
    _place(pod, job.node_selector, job.tolerations)
    return pod


def _place(pod: Manifest, selector: Mapping[str, str], tolerations: Sequence[Toleration]) -> None:
    if selector:
        pod["spec"]["nodeSelector"] = dict(selector)
    if tolerations:
        pod["spec"]["tolerations"] = [_toleration(each) for each in tolerations]


def _toleration(toleration: Toleration) -> Manifest:
    entry = {"key": toleration.key, "operator": "Exists" if toleration.value is None else "Equal"}
    if toleration.value is not None:
        entry["value"] = toleration.value
    if toleration.effect is not None:
        entry["effect"] = toleration.effect
    return entry


def _container(job: TrainingJob, name: str, resources: Resources) -> Manifest:
    amounts: Manifest = {"cpu": resources.cpu, "memory": resources.memory}
    if resources.gpus:
        amounts[resources.gpu_resource] = str(resources.gpus)
    return {
        "name": name,
        "image": job.image,
        "imagePullPolicy": "IfNotPresent",
        "env": environment(job),
        "resources": {"requests": dict(amounts), "limits": amounts},
        "volumeMounts": [
            {"name": "shm", "mountPath": "/dev/shm"},
            *({"name": f"volume-{i}", "mountPath": path} for i, path in enumerate(job.volumes)),
            {"name": "tmp", "mountPath": "/tmp"},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _pod(job: TrainingJob, container: Manifest, resources: Resources) -> Manifest:
    spec: Manifest = {
        "serviceAccountName": job.service_account,
        # Training does not use the Kubernetes API, so it gets no token.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # Requirements of PodSecurity "restricted". ssh requires the same user in both roles.
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": resources.shared_memory}},
            *_claims(job),
            {"name": "tmp", "emptyDir": {}},
        ],
        "containers": [container],
    }
    if job.priority_class:
        spec["priorityClassName"] = job.priority_class
    if job.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in job.image_pull_secrets]
    # A service mesh proxy would keep running after the training, and would block ssh.
    annotations = {"sidecar.istio.io/inject": "false"}
    return {"metadata": {"annotations": annotations, "labels": labels_of(job)}, "spec": spec}


def _claims(job: TrainingJob) -> list[Manifest]:
    claims = enumerate(job.volumes.values())
    return [{"name": f"volume-{i}", "persistentVolumeClaim": {"claimName": claim}} for i, claim in claims]
