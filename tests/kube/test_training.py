"""MPIJobs with the real API server, Job controller and mpi-operator; the kubelets are the test's own."""

import contextlib
import dataclasses
import threading

import pytest
from kubernetes import client

from components.mpijob.cluster import Cluster
from components.mpijob.job import Resources, TrainingJob
from components.mpijob.job_monitor import FailedTrainingError, NoRoomError
from components.mpijob.supervise import run_job
from components.mpijob.timeouts import Timeouts
from frcnn.errors import RunError
from tests.kube.control_plane import wait_until
from tests.support import mpi_operator as states

pytestmark = [pytest.mark.kube, pytest.mark.timeout(600)]

QUICK = Timeouts(image=2, scheduling=2, quota=4, operator=30, start=60, interval=0.3, clean_up=5)
READY = [{"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}]


@pytest.fixture
def job(plane, namespace, operator):
    client.CoreV1Api(plane.admin).create_namespaced_service_account(
        namespace, {"metadata": {"name": "frcnn-training"}}
    )
    return TrainingJob(
        "kitti", namespace, "image:1", ("true",), 2, Resources("1", "1Gi"), service_account="frcnn-training"
    )


def container(state, ready=False):
    return {
        "name": "worker", "image": "image:1", "imageID": "",
        "ready": ready, "restartCount": 0, "state": state,
    }  # fmt: skip


RUNNING = {
    "phase": "Running",
    "conditions": READY,
    "containerStatuses": [container({"running": {}}, ready=True)],
}


def ended(code, reason="Error"):
    status = states.ended(code, reason)
    (each,) = status["containerStatuses"]
    return {**status, "containerStatuses": [container(each["state"])]}


class Kubelet:
    """Moves the pods of one job."""

    def __init__(self, plane, job):
        self._plane, self._job = plane, job
        self._core = client.CoreV1Api(plane.admin)

    def pods(self, role):
        selector = f"training.kubeflow.org/job-name={self._job.name},training.kubeflow.org/job-role={role}"
        return [
            each.metadata.name
            for each in self._core.list_namespaced_pod(self._job.namespace, label_selector=selector).items
        ]

    def set(self, role, status, count=1, which=None):
        names = wait_until(lambda: len(found := self.pods(role)) >= count and found, what=f"{role} pods")
        for name in sorted(names) if which is None else [sorted(names)[which]]:
            self._plane.set_status(self._job.namespace, name, status)


@contextlib.contextmanager
def playing(script, *arguments):
    """Runs a script beside the block; its failure is the test's."""
    failed = []

    def run():
        try:
            script(*arguments)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(60)
    assert not failed, failed


def mpijob(plane, job):
    return Cluster(plane.admin, job.namespace).get(job.name)


def runs(kubelet):
    kubelet.set("worker", RUNNING, count=2)
    kubelet.set("launcher", RUNNING)


def test_a_training_that_succeeds_is_followed_to_its_end(plane, job):
    def script(kubelet):
        runs(kubelet)
        kubelet.set("launcher", ended(0))

    with playing(script, Kubelet(plane, job)):
        run_job(Cluster(plane.admin, job.namespace), job, patience=QUICK, write=[].append)
    kubelet = Kubelet(plane, job)
    wait_until(lambda: kubelet.pods("worker") == [], what="the operator to stop the workers")
    assert mpijob(plane, job) is not None


def test_a_training_that_fails_says_so_and_holds_nothing(plane, job):
    def script(kubelet):
        runs(kubelet)
        kubelet.set("launcher", ended(3))

    once = dataclasses.replace(job, backoff_limit=0)
    with (
        playing(script, Kubelet(plane, job)),
        pytest.raises(
            FailedTrainingError, match=r"kitti failed: BackoffLimitExceeded: .*exit code 3"
        ) as caught,
    ):
        run_job(Cluster(plane.admin, job.namespace), once, patience=QUICK, write=[].append)
    assert "/:" not in str(caught.value)
    kubelet = Kubelet(plane, job)
    wait_until(lambda: kubelet.pods("worker") == [])


def test_an_evicted_worker_ends_the_training_and_leaves_no_pod(plane, job):
    """kubeflow/mpi-operator#647: the operator itself stops nothing then."""

    def script(kubelet):
        runs(kubelet)
        evicted = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
        kubelet.set("worker", evicted, count=2, which=0)

    with (
        playing(script, Kubelet(plane, job)),
        pytest.raises(FailedTrainingError, match=r"MPIJobEvicted: .*pod/kitti-worker-0 Evicted"),
    ):
        run_job(Cluster(plane.admin, job.namespace), job, patience=QUICK, write=[].append)
    wait_until(lambda: mpijob(plane, job) is None)
    kubelet = Kubelet(plane, job)
    wait_until(lambda: kubelet.pods("worker") + kubelet.pods("launcher") == [])


def test_workers_that_end_before_the_training_are_reported_soon(plane, job):
    def script(kubelet):
        start = {"exitCode": 128, "reason": "StartError", "message": 'exec: "/usr/sbin/sshd": no such file'}
        broken = {"phase": "Running", "containerStatuses": [container({"terminated": start})]}
        kubelet.set("worker", broken, count=2)

    with (
        playing(script, Kubelet(plane, job)),
        pytest.raises(RunError, match=r"worker-.: ended before the training did: StartError, .*sshd"),
    ):
        run_job(Cluster(plane.admin, job.namespace), job, patience=QUICK, write=[].append)
    wait_until(lambda: mpijob(plane, job) is None)


def test_used_up_quota_is_told_from_the_operators_events(plane, job):
    hard = {"hard": {"pods": "0"}}
    core = client.CoreV1Api(plane.admin)
    core.create_namespaced_resource_quota(job.namespace, {"metadata": {"name": "none"}, "spec": hard})
    # A quota counts once its controller has looked at it.
    wait_until(lambda: core.read_namespaced_resource_quota_status("none", job.namespace).status.hard)
    with pytest.raises(NoRoomError, match=r"a pod could not be created: .*exceeded quota"):
        run_job(Cluster(plane.admin, job.namespace), job, patience=QUICK, write=[].append)


def test_pods_of_a_training_are_admitted_in_a_restricted_namespace(plane, job):
    """The namespace enforces PodSecurity "restricted": the operator could not have made them otherwise."""
    with (
        playing(lambda kubelet: kubelet.set("worker", states.PENDING, count=2), Kubelet(plane, job)),
        pytest.raises(RunError, match=r"has not started in 3 s: kitti-worker-0 Pending"),
    ):
        run_job(
            Cluster(plane.admin, job.namespace),
            job,
            patience=dataclasses.replace(QUICK, start=3),
            write=[].append,
        )
