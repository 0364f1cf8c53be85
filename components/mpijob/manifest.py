"""A TrainingJob as the MPIJob that mpi-operator runs (kubeflow.org/v2beta1, of v0.8). Pure functions."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from components.mpijob.job import HOME, SSH_FOLDER, SSH_PORT, USER, Resources, Toleration, TrainingJob

API_VERSION = "kubeflow.org/v2beta1"
JOB_LABEL = "training.kubeflow.org/job-name"
ROLE_LABEL = "training.kubeflow.org/job-role"
# Tells a job that a step may join from one of the same name with other settings.
SETTINGS_ANNOTATION = "frcnn.io/settings"
# By which clouds tell a pod of its account's role; set by their webhooks, so that a manifest cannot know.
ROLE_VARIABLES = (
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_SESSION_NAME",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)

Manifest = dict[str, Any]


def manifest(job: TrainingJob) -> Manifest:
    """The MPIJob. Equal jobs give equal manifests, whoever owns them but for `ownerReferences`."""
    spec = _spec(job)
    metadata: Manifest = {
        "name": job.name,
        "namespace": job.namespace,
        "labels": _labels(job),
        "annotations": {SETTINGS_ANNOTATION: settings_of(spec)},
    }
    if job.owner:
        metadata["ownerReferences"] = [owner_reference(job)]
    return {"apiVersion": API_VERSION, "kind": "MPIJob", "metadata": metadata, "spec": spec}


def settings_of(spec: Manifest) -> str:
    """A hash of what the job is to do."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:32]


def owner_reference(job: TrainingJob) -> Manifest:
    """The step's pod as owner: the cluster deletes the job after the pod.

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
        # True would need leave to update the pod's finalizers on clusters that check it, for nothing.
        "blockOwnerDeletion": False,
        "controller": False,
    }


def _spec(job: TrainingJob) -> Manifest:
    policy: Manifest = {
        # Running: workers that still wait are stopped; finished pods stay, and with them their logs.
        "cleanPodPolicy": "Running",
        "backoffLimit": job.backoff_limit,
        "ttlSecondsAfterFinished": job.keep_seconds,
    }
    if job.deadline_seconds is not None:
        policy["activeDeadlineSeconds"] = job.deadline_seconds
    return {
        "slotsPerWorker": job.slots_per_worker,
        "mpiImplementation": "OpenMPI",
        # Otherwise the launcher would fail, and count against backoffLimit, until the images are pulled.
        "launcherCreationPolicy": "WaitForWorkersReady",
        "sshAuthMountPath": SSH_FOLDER,
        "runPolicy": policy,
        "mpiReplicaSpecs": {
            "Launcher": {"replicas": 1, "restartPolicy": "Never", "template": _launcher(job)},
            # OnFailure: the kubelet starts a worker again whose sshd was killed, as for want of memory. The
            # operator replaces pods that were deleted, not those that failed.
            "Worker": {"replicas": job.workers, "restartPolicy": "OnFailure", "template": _worker(job)},
        },
    }


def _labels(job: TrainingJob) -> Manifest:
    return {
        "app.kubernetes.io/name": "frcnn",
        "app.kubernetes.io/component": "training",
        "app.kubernetes.io/instance": job.name,
        **job.labels,
    }


def _launcher(job: TrainingJob) -> Manifest:
    container = _container(job, "launcher", job.launcher)
    container["command"] = launcher_command(job)
    pod = _pod(job, container, job.launcher)
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


def launcher_command(job: TrainingJob) -> list[str]:
    """Returns the launcher's command: `mpirun`, told of those variables that its pod really has.

    mpirun warns of variables that are not set, such as those of secrets that may be missing.
    """
    names = list(dict.fromkeys([*job.secret_environment, *ROLE_VARIABLES]))
    script = (
        f"for name in {' '.join(names)}; do "
        'if printenv "$name" >/dev/null; then set -- -x "$name" "$@"; fi; done; exec mpirun "$@"'
    )
    return ["sh", "-c", script, "mpirun", *mpirun(job)[1:]]


def mpirun(job: TrainingJob) -> list[str]:
    """One process a slot on all workers, each with the variables that the launcher has in any case."""
    words = ["mpirun", "-np", str(job.processes), "--bind-to", "none", "--map-by", "slot", "--tag-output"]
    # A process is started by a worker's sshd, whose environment is not the container's. mpirun warns of
    # variables that are not set, so that only those of GPU images are added for GPUs.
    inherited = ("PATH", "HOME", "LD_LIBRARY_PATH") if job.worker.gpus else ("PATH", "HOME")
    certain = [
        each["name"]
        for each in _environment(job)
        if each["name"] not in (*job.secret_environment, *ROLE_VARIABLES)
    ]
    for name in (*inherited, *certain):
        words += ["-x", name]
    # Gradients go by NCCL or over TCP; MPI itself only has to carry small messages.
    words += ["--mca", "pml", "ob1", "--mca", "btl", "^openib"]
    if job.network_interface:
        words += ["--mca", "btl_tcp_if_include", job.network_interface]
        words += ["--mca", "oob_tcp_if_include", job.network_interface]
    return [*words, *job.training]


def _environment(job: TrainingJob) -> list[Manifest]:
    variables: list[Manifest] = [{"name": name, "value": value} for name, value in job.environment.items()]
    variables += [
        _from_secret(name, secret, key, optional=True)
        for name, (secret, key) in job.secret_environment.items()
    ]
    if job.s3:
        variables += [
            {"name": "S3_ENDPOINT", "value": job.s3.endpoint},
            {"name": "AWS_REGION", "value": job.s3.region},
            _from_secret("AWS_ACCESS_KEY_ID", job.s3.secret, job.s3.access_key_field),
            _from_secret("AWS_SECRET_ACCESS_KEY", job.s3.secret, job.s3.secret_key_field),
        ]
    return variables


def _from_secret(name: str, secret: str, key: str, *, optional: bool = False) -> Manifest:
    reference = {"name": secret, "key": key, **({"optional": True} if optional else {})}
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _container(job: TrainingJob, name: str, resources: Resources) -> Manifest:
    amounts: Manifest = {"cpu": resources.cpu, "memory": resources.memory}
    if resources.gpus:
        amounts[resources.gpu_resource] = str(resources.gpus)
    return {
        "name": name,
        "image": job.image,
        "imagePullPolicy": job.image_pull_policy,
        "env": _environment(job),
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
        # Training asks nothing of the cluster's API, so that it carries no key to it.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # All that PodSecurity "restricted" asks for. The user is the same in both roles, as ssh needs it.
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
    # A mesh's proxy would outlive the training, and not let ssh through.
    annotations = {"sidecar.istio.io/inject": "false"}
    return {"metadata": {"annotations": annotations, "labels": _labels(job)}, "spec": spec}


def _claims(job: TrainingJob) -> list[Manifest]:
    claims = enumerate(job.volumes.values())
    return [{"name": f"volume-{i}", "persistentVolumeClaim": {"claimName": claim}} for i, claim in claims]
