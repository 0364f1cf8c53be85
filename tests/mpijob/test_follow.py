"""The whole way of a job against the API double: create, join, watch, log, end, cancel."""

import dataclasses
import os
import re
import signal
import threading
import time

import pytest

from components.mpijob.api_errors import RefusedError, UnreachableError
from components.mpijob.job import Owner
from components.mpijob.job_monitor import FailedTrainingError
from components.mpijob.manifest import manifest
from components.mpijob.supervise import run_job
from frcnn.console.signals import Terminated
from frcnn.errors import RunError, SpecError
from tests.support import mpi_operator


def test_job_is_created_followed_and_left_when_it_succeeded(double, cluster, job, quick, caplog):
    double.on_create = mpi_operator.succeeds
    lines = []
    run_job(cluster, job, patience=quick, write=lines.append)
    assert lines == ["epoch 1/2", "epoch 2/2"]
    assert double.job(job.name) is not None
    told = [record.message for record in caplog.records if "mpijob/" in record.message]
    assert told[0] == f"Created mpijob/{job.name} in namespace {cluster.namespace}"
    assert [text.split()[1].rstrip(":") for text in told[1:]] == ["Created", "Running", "Succeeded"]


def test_failed_training_tells_what_the_worker_died_of(double, cluster, job, quick):
    double.on_create = mpi_operator.fails
    lines = []
    with pytest.raises(FailedTrainingError) as caught:
        run_job(cluster, job, patience=quick, write=lines.append)
    message = str(caught.value)
    assert message.startswith(
        "mpijob/kitti-train failed: BackoffLimitExceeded: Job has reached the specified backoff limit; "
    )
    assert message.index("kitti-train-worker-0 ran out of memory") < message.index("exit code 3")
    assert "\n" not in message
    assert lines == ["loss is not finite"]
    assert double.job(job.name) is not None  # stays to be looked at
    assert caught.value.exit_code == 1


def test_a_failed_job_whose_pods_go_on_is_deleted_since_they_hold_gpus(double, cluster, job, quick):
    double.on_create = mpi_operator.evicts
    with pytest.raises(
        FailedTrainingError, match=r"failed: MPIJobEvicted: 1/2 workers are evicted; pod/.*-0 "
    ):
        run_job(cluster, job, patience=quick, write=[].append)
    assert double.job(job.name) is None
    assert double.select("pods", {}) == []


def test_waiting_lists_nothing(double, cluster, job, quick):
    """One LIST for each waiting training every few seconds adds up: watches tell what there is to know."""

    def script(double, created):
        double.condition(created["metadata"]["name"], "Created")
        double.pod(job.name, "worker", 0, status=mpi_operator.PENDING)
        time.sleep(1.5)
        mpi_operator.succeeds(double, created)

    double.on_create = script
    run_job(cluster, job, patience=quick, write=[].append)
    assert [call for call in double.calls if call[0] == "list"] == [("list", "", "pods")]  # at the end
    for resource in ("pods", "events"):
        assert double.calls.count(("watch", "", resource)) == 1


def test_mpiruns_tags_are_taken_off_the_log(double, cluster, job, quick):
    def script(double, created):
        launcher = mpi_operator.runs(double, created)
        double.write_log(
            launcher, "[1,0]<stderr>:epoch 1/2", "[1,12]<stdout>: careful", "[1,0]<stdout>:", "[1] is no tag"
        )
        double.pod(job.name, "launcher", status=mpi_operator.ended(0))
        double.condition(job.name, "Succeeded")

    double.on_create = script
    lines = []
    run_job(cluster, job, patience=quick, write=lines.append)
    assert lines == ["epoch 1/2", "rank 12: careful", "", "[1] is no tag"]


def test_watches_of_pods_start_anew_from_a_version_that_the_server_forgot(double, cluster, job, quick):
    def script(double, created):
        name = created["metadata"]["name"]
        double.condition(name, "Created")
        double.pod(name, "worker", 0, status=mpi_operator.waiting("ImagePullBackOff"))
        time.sleep(0.2)
        double.forget(in_stream=True)
        double.drop_resource, double.drop_watches = "pods", 3
        double.remove("pods", f"{name}-worker-0")
        mpi_operator.succeeds(double, created)

    double.on_create = script
    patience = dataclasses.replace(quick, image=30)
    run_job(cluster, job, patience=patience, write=[].append)


def test_running_job_of_an_earlier_attempt_is_joined_and_owned(double, cluster, job, quick):
    first = dataclasses.replace(job, owner=Owner("step-1", "uid-1"))
    again = dataclasses.replace(job, owner=Owner("step-2", "uid-2"))
    created = double.create("mpijobs", manifest(first))
    threading.Timer(0.3, mpi_operator.succeeds, (double, created)).start()
    run_job(cluster, again, patience=quick, write=[].append)
    owners = double.job(job.name)["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == ["uid-1", "uid-2"]


def test_finished_job_of_an_earlier_attempt_is_taken_as_it_is(double, cluster, job, quick):
    mpi_operator.succeeds(double, double.create("mpijobs", manifest(job)))
    lines = []
    run_job(cluster, job, patience=quick, write=lines.append)
    assert lines == ["epoch 1/2", "epoch 2/2"]


def test_failed_job_of_an_earlier_attempt_is_replaced(double, cluster, job, quick):
    old = double.create("mpijobs", manifest(job))
    mpi_operator.fails(double, old)
    double.on_create = mpi_operator.succeeds
    run_job(cluster, job, patience=quick, write=[].append)
    assert double.job(job.name)["metadata"]["uid"] != old["metadata"]["uid"]


def test_job_on_its_way_out_is_waited_for(double, cluster, job, quick):
    old = manifest(job)
    old["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    double.create("mpijobs", old)
    double.on_create = mpi_operator.succeeds
    threading.Timer(0.4, double.delete, ("mpijobs", job.name)).start()
    run_job(cluster, job, patience=quick, write=[].append)


def test_same_name_with_other_settings_is_refused_and_left_alone(double, cluster, job, quick):
    double.create("mpijobs", manifest(dataclasses.replace(job, workers=3)))
    with pytest.raises(RefusedError, match=r"other settings.*kubectl -n team delete mpijob kitti-train"):
        run_job(cluster, job, patience=quick)
    assert double.job(job.name) is not None


def test_watch_survives_dropped_connections(double, cluster, job, quick):
    double.drop_watches = 3
    double.on_create = mpi_operator.succeeds
    lines = []
    run_job(cluster, job, patience=quick, write=lines.append)
    assert lines == ["epoch 1/2", "epoch 2/2"]
    assert double.drop_watches == 0
    assert double.calls.count(("watch", "kubeflow.org", "mpijobs")) == 4


@pytest.mark.parametrize("in_stream", [False, True])
def test_watch_from_a_version_that_the_server_forgot_starts_anew(double, cluster, job, quick, in_stream):
    def script(double, created):
        mpi_operator.runs(double, created)
        double.forget(in_stream=in_stream)
        assert double.wait_for(("get", "kubeflow.org", "mpijobs"))
        double.pod(job.name, "launcher", status=mpi_operator.ended(0))
        double.condition(job.name, "Succeeded")

    double.on_create = script
    run_job(cluster, job, patience=quick, write=[].append)
    assert double.wait_for(("get", "kubeflow.org", "mpijobs"))


def test_log_is_copied_once_over_dropped_connections_and_restarted_launchers(double, cluster, job, quick):
    def script(double, created):
        launcher = mpi_operator.runs(double, created)
        double.write_log(launcher, "one", "two", "DROP", "three")
        double.wait_until(lambda: any("sinceSeconds" in each for each in double.log_requests))
        double.write_log(launcher, "four")
        double.pod(job.name, "launcher", status=mpi_operator.ended(1))
        second = double.pod(job.name, "launcher", 1, status=mpi_operator.RUNNING)
        double.write_log(second, "five")
        double.pod(job.name, "launcher", 1, status=mpi_operator.ended(0))
        double.condition(job.name, "Succeeded")

    double.on_create = script
    lines = []
    run_job(cluster, job, patience=quick, write=lines.append)
    assert lines == ["one", "two", "three", "four", "five"]
    resumed = [each for each in double.log_requests if "sinceSeconds" in each]
    assert resumed
    assert all(int(each["sinceSeconds"]) >= 60 for each in resumed)


def test_sigterm_deletes_the_job(double, cluster, job, quick):
    def script(double, created):
        mpi_operator.runs(double, created)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)

    double.on_create = script
    with pytest.raises(Terminated):
        run_job(cluster, job, patience=quick, write=[].append)
    assert double.job(job.name) is None
    assert double.select("pods", {}) == []


def test_job_deleted_by_others_ends_the_step(double, cluster, job, quick):
    def script(double, created):
        mpi_operator.runs(double, created)
        double.delete("mpijobs", job.name)

    double.on_create = script
    with pytest.raises(RunError, match="was deleted by someone else"):
        run_job(cluster, job, patience=quick, write=[].append)


def test_api_that_goes_away_is_endured_for_a_while_and_the_job_left(double, cluster, job, quick):
    def script(double, created):
        mpi_operator.runs(double, created)
        for call in ("watch mpijobs", "list pods", "watch pods", "watch events", "get mpijobs"):
            double.refusals[call] = (503, "ServiceUnavailable", "the server is shutting down")

    double.on_create = script
    with pytest.raises(UnreachableError, match="Start the step again to join it"):
        run_job(cluster, job, patience=dataclasses.replace(quick, unreachable=1.5), write=[].append)
    assert double.job(job.name) is not None


def test_api_that_comes_back_in_time_is_forgiven(double, cluster, job, quick):
    def script(double, created):
        launcher = mpi_operator.runs(double, created)
        double.refusals["watch mpijobs"] = (503, "ServiceUnavailable", "the server is shutting down")
        time.sleep(0.5)
        double.refusals.clear()
        double.write_log(launcher, "on we go")
        double.pod(job.name, "launcher", status=mpi_operator.ended(0))
        double.condition(job.name, "Succeeded")

    double.on_create = script
    lines = []
    run_job(cluster, job, patience=quick, write=lines.append)
    assert lines == ["on we go"]


def test_what_the_operator_would_refuse_is_not_even_created(double, cluster, job):
    with pytest.raises(SpecError, match=r"spec.mpiReplicaSpecs.Worker.replicas: got 0; expected 1 or more"):
        run_job(cluster, dataclasses.replace(job, workers=0))
    assert double.calls == []


def test_api_that_is_not_there(job, quick):
    from kubernetes import client

    from components.mpijob import create
    from components.mpijob.cluster import Cluster

    settings = client.Configuration(host="http://127.0.0.1:9")
    settings.retries = 0
    with client.ApiClient(settings) as api, pytest.raises(UnreachableError) as caught:
        create.create_or_join(Cluster(api, "team"), manifest(job), seconds=0.2)
    assert re.search("does not respond.*KUBECONFIG", str(caught.value))
