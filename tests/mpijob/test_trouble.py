"""Refusals and failures of a cluster: one line with name and remedy, the job deleted, exit code 1."""

import dataclasses
import time

import pytest

from components.mpijob.supervise import run_job
from frcnn.errors import RunError
from tests.support import mpi_operator as operator

PULL = 'Back-off pulling image "frcnn-train:9"'
NO_GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available."
QUOTA = (
    'worker pod created failed: pods "kitti-train-worker-0" is forbidden: exceeded quota: gpus, '
    "requested: limits.nvidia.com/gpu=8, used: limits.nvidia.com/gpu=8, limited: limits.nvidia.com/gpu=8"
)
NO_ACCOUNT = (
    'Error creating: pods "kitti-train-launcher-" is forbidden: error looking up service account '
    'team/trainer: serviceaccount "trainer" not found'
)
PODSECURITY = (
    'worker pod created failed: pods "x" is forbidden: violates PodSecurity "restricted:latest": host'
)
INVALID = "Found validation errors: spec.mpiReplicaSpecs[Launcher].replicas: Invalid value: 2: must be 1"


def created(then):
    def script(double, job):
        double.condition(job["metadata"]["name"], "Created")
        then(double, job["metadata"]["name"])

    return script


def pods(status, spec=None):
    return created(
        lambda double, name: [double.pod(name, "worker", i, status=status, spec=spec) for i in (0, 1)]
    )


def with_event(kind, name, reason, message, status=None):
    def script(double, job):
        if status:
            double.pod(job, "worker", 0, status=status)
        double.event(kind, name, reason, message)

    return created(script)


GPU_SPEC = {"containers": [{"resources": {"requests": {"nvidia.com/gpu": "16"}}}]}
CASES = {
    "image": (
        pods(operator.waiting("ImagePullBackOff", PULL)),
        r"pod/kitti-train-worker-0: ImagePullBackOff of image frcnn-train:9: .*Check the image's name",
    ),
    "image name": (pods(operator.waiting("InvalidImageName", "x")), r"Correct the image's name"),
    "secret": (
        pods(operator.waiting("CreateContainerConfigError", 'secret "s3-keys" not found')),
        r'pod/kitti-train-worker-0: CreateContainerConfigError .*secret "s3-keys" not found.* Create',
    ),
    "gpus": (
        pods(operator.unschedulable(NO_GPU), GPU_SPEC),
        r"pod/kitti-train-worker-0: no node can take it: .*Each such pod requests nvidia.com/gpu 16: ",
    ),
    "taint": (
        pods(operator.unschedulable("0/3 nodes are available: 3 node(s) had untolerated taint {gpu: true}.")),
        r"Add a toleration for the nodes' taint",
    ),
    "quota": (
        with_event("MPIJob", "kitti-train", "MPIJobFailed", QUOTA),
        r"mpijob/kitti-train: a pod could not be created: .*exceeded quota: gpus.*Request less, wait",
    ),
    "service account": (
        with_event("Job", "kitti-train-launcher", "FailedCreate", NO_ACCOUNT),
        r'job/kitti-train-launcher: .*serviceaccount "trainer" not found. Choose an existing service account',
    ),
    "PodSecurity": (
        with_event("MPIJob", "kitti-train", "MPIJobFailed", PODSECURITY),
        r"Relax the namespace's PodSecurity level",
    ),
    "refused by the operator": (
        with_event("MPIJob", "kitti-train", "ValidationError", INVALID),
        r"mpijob/kitti-train: mpi-operator rejected the job: .*must be 1. Correct the job's settings",
    ),
    "autoscaler gives up": (
        with_event("Pod", "kitti-train-worker-0", "NotTriggerScaleUp", "no", operator.unschedulable(NO_GPU)),
        r"no node can take it",
    ),
    "mount": (
        with_event("Pod", "kitti-train-worker-0", "FailedMount", "no volume x", operator.PENDING),
        r"pod/kitti-train-worker-0: FailedMount: no volume x. Create the volume",
    ),
    "claim": (
        pods(operator.unschedulable('0/3 nodes are available: persistentvolumeclaim "kitti" not found.')),
        r"persistentvolumeclaim \"kitti\" not found. Create the claim kitti in this namespace, or corr",
    ),
    "volume": (
        pods(
            operator.unschedulable(
                "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."
            )
        ),
        r"The volume claim is not bound: check `kubectl describe pvc`",
    ),
    "no sshd": (
        pods(operator.ended(128, "StartError", 'exec: "/usr/sbin/sshd": stat: no such file or directory')),
        r"worker-0: ended before the training did: StartError, exit code 128: exec: .*sshd.* Check",
    ),
    "worker out of memory": (
        pods(operator.ended(137, "OOMKilled")),
        r"ended before the training did: OOMKilled, exit code 137. Raise its memory \(--memory\)",
    ),
    "worker crashes": (
        pods(operator.crashes(1, "Error")),
        r"ends repeatedly: Error, exit code 1. Read the container's log: `kubectl logs --previous`",
    ),
    "worker evicted": (
        pods(
            {
                "phase": "Failed",
                "reason": "Evicted",
                "message": "The node was low on resource: ephemeral-storage",
            }
        ),
        r"pod/kitti-train-worker-0: Evicted: .*The node ran out of ephemeral-storage: request more",
    ),
    "no operator": (None, r"mpijob/kitti-train: mpi-operator has not processed the job .*Check that it runs"),
}


@pytest.mark.parametrize("case", CASES)
def test_trouble_is_named_in_a_line_and_the_job_deleted(case, double, cluster, job, quick, caplog):
    double.on_create, expected = CASES[case]
    patience = dataclasses.replace(quick, operator=0.6) if case == "no operator" else quick
    with pytest.raises(RunError, match=expected) as caught:
        run_job(cluster, job, patience=patience)
    assert str(caught.value).startswith("mpijob/kitti-train cannot run: ")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1
    assert double.job(job.name) is None


@pytest.mark.parametrize("case", ["image", "gpus", "quota"])
def test_trouble_that_may_pass_is_told_before_it_ends_the_run(case, double, cluster, job, quick, caplog):
    double.on_create, expected = CASES[case]
    with pytest.raises(RunError, match=expected):
        run_job(cluster, job, patience=quick)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings
    assert all("(waiting up to 0 s)" in text for text in warnings)


def test_one_bad_image_is_one_warning(double, cluster, job, quick, caplog):
    """Both workers have it, and the kubelet says so by turns in two ways."""

    def script(double, created):
        name = created["metadata"]["name"]
        double.condition(name, "Created")
        for reason in ("ErrImagePull", "ImagePullBackOff") * 3:
            for index in (0, 1):
                double.pod(name, "worker", index, status=operator.waiting(reason, f"{PULL} {reason}"))
            time.sleep(0.15)

    double.on_create = script
    with pytest.raises(RunError, match="of image frcnn-train:9"):
        run_job(cluster, job, patience=dataclasses.replace(quick, image=1.0))
    assert len([each for each in caplog.records if each.levelname == "WARNING"]) == 1


def test_a_refused_creation_leaves_nothing_behind_to_warn_of(double, cluster, job, quick, caplog):
    for call in ("create mpijobs", "get mpijobs"):
        double.refusals[call] = (403, "Forbidden", "mpijobs is forbidden: User x cannot")
    with pytest.raises(RunError, match=r"cannot. Install the chart"):
        run_job(cluster, job, patience=quick)
    assert [each for each in caplog.records if each.levelname == "WARNING"] == []
    assert ("delete", "kubeflow.org", "mpijobs") not in double.calls


def test_a_pod_without_a_token_is_told_so(monkeypatch, tmp_path):
    from components.mpijob.connection import connect

    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(
        RunError, match=r"from this pod: .*token is not mounted. Run as the chart's frcnn-laun"
    ):
        connect()
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(RunError, match="Run inside a pod, or set KUBECONFIG"):
        connect()


def test_trouble_that_passes_is_no_trouble(double, cluster, job, quick):
    def script(double, created):
        name = created["metadata"]["name"]
        double.condition(name, "Created")
        double.event("MPIJob", name, "MPIJobFailed", QUOTA)
        double.pod(name, "worker", 0, status=operator.unschedulable(NO_GPU))
        operator.succeeds(double, created)

    double.on_create = script
    run_job(cluster, job, patience=dataclasses.replace(quick, quota=60, scheduling=60), write=[].append)
    assert double.job(job.name) is not None


def test_events_of_an_earlier_job_of_that_name_do_not_count(double, cluster, job, quick):
    from components.mpijob.manifest import manifest

    double.create("mpijobs", manifest(job))
    double.event("MPIJob", job.name, "ValidationError", INVALID)
    double.event("Job", f"{job.name}-launcher", "FailedCreate", NO_ACCOUNT, when="2026-01-01T00:00:00Z")
    double.delete("mpijobs", job.name)

    def script(double, job):
        double.condition(job["metadata"]["name"], "Created")
        time.sleep(0.5)
        operator.succeeds(double, job)

    double.on_create = script
    run_job(cluster, job, patience=quick, write=[].append)


def test_workers_that_never_come_up_end_at_the_deadline(double, cluster, job, quick):
    double.on_create = pods(operator.PENDING)
    with pytest.raises(
        RunError, match=r"has not started in 1 s: kitti-train-worker-0 Pending.*kubectl describe"
    ):
        run_job(cluster, job, patience=dataclasses.replace(quick, start=1))
    assert double.job(job.name) is None


REFUSALS = {
    "no operator installed": (
        None,
        r"the cluster has no MPIJob resource \(kubeflow.org/v2beta1\). Install mpi-operator",
    ),
    "no namespace": (
        (404, "NotFound", 'namespaces "team" not found'),
        r'namespaces "team" not found. Create the namespace team',
    ),
    "no permission": (
        (
            403,
            "Forbidden",
            'mpijobs.kubeflow.org is forbidden: User "system:serviceaccount:team:x" cannot create',
        ),
        r'User "system:serviceaccount:team:x" cannot create.*Install the chart frcnn-pipelines',
    ),
    "quota": (
        (403, "Forbidden", 'mpijobs.kubeflow.org "kitti-train" is forbidden: exceeded quota: jobs'),
        r"exceeded quota: jobs. Request less",
    ),
    "not logged in": (
        (401, "Unauthorized", "Unauthorized"),
        r"does not accept the credentials \(401\). Log in again",
    ),
    "invalid": (
        (422, "Invalid", "spec.slotsPerWorker: Invalid value"),
        r"rejected the request \(422\): spec.slotsPerWorker",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_creation_is_explained(case, double, cluster, job, quick):
    answer, expected = REFUSALS[case]
    if answer:
        double.refusals["create mpijobs"] = answer
    else:
        double.known.discard(("kubeflow.org", "mpijobs"))
    with pytest.raises(RunError, match=expected) as caught:
        run_job(cluster, job, patience=quick)
    assert str(caught.value).startswith("create mpijob/kitti-train in namespace team: ")
    assert "\n" not in str(caught.value)


def test_missing_right_to_read_events_is_named_and_the_job_deleted(double, cluster, job, quick):
    double.on_create = pods(operator.PENDING)
    double.refusals["watch events"] = (403, "Forbidden", "events is forbidden: User x cannot watch")
    with pytest.raises(
        RunError, match=r"watch events of mpijob/kitti-train .*cannot watch. Install the chart"
    ):
        run_job(cluster, job, patience=quick)
    assert double.job(job.name) is None
