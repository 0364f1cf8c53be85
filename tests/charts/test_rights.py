"""The launcher's Role grants what the client does, as the API double recorded it, and nothing else."""

import contextlib
import dataclasses
import itertools
import threading

import pytest
from kubernetes import client

from components.katib.follow import run_experiment
from components.mpijob.cluster import Cluster
from components.mpijob.job import Owner, Resources, TrainingJob
from components.mpijob.manifest import manifest
from components.mpijob.resources import EXPERIMENTS
from components.mpijob.supervise import run_job
from components.mpijob.timeouts import Timeouts
from frcnn.errors import RunError
from tests.charts.conftest import find
from tests.support import katib, mpi_operator
from tests.support.kubernetes_double import NAMESPACE, KubernetesDouble

QUICK = Timeouts(image=0.2, interval=0.1)
JOB = TrainingJob(
    "kitti-train", NAMESPACE, "image:1", ("frcnn",), 1, Resources("1", "1Gi"), owner=Owner("step", "uid")
)


@pytest.fixture(scope="module")
def calls():
    """(verb, group, resource) of runs that go well, are joined, fail, and are given up."""

    def broken(double, job):
        name = double.pod(JOB.name, "worker", status=mpi_operator.waiting("InvalidImageName"))
        double.event("Pod", name, "Failed", "no such image")

    recorded = set()
    for script in (mpi_operator.succeeds, mpi_operator.fails, broken):
        with KubernetesDouble(script) as double, client_of(double) as cluster:
            _run(cluster, JOB)
            recorded |= set(double.calls)
    with KubernetesDouble() as double, client_of(double) as cluster:
        created = double.create("mpijobs", manifest(JOB))
        threading.Timer(0.3, mpi_operator.succeeds, (double, created)).start()
        _run(cluster, dataclasses.replace(JOB, owner=Owner("step-2", "uid-2")))
        recorded |= set(double.calls)
    return recorded


def _run(cluster, job):
    with contextlib.suppress(RunError):
        run_job(cluster, job, patience=QUICK, write=[].append)


@contextlib.contextmanager
def client_of(double):
    with client.ApiClient(client.Configuration(host=double.url)) as api:
        yield Cluster(api, NAMESPACE)


@pytest.fixture
def granted(render):
    role = find(render("least-values.yaml"), "Role", "vision-frcnn-launcher")
    return {
        triple
        for rule in role["rules"]
        for triple in itertools.product(rule["verbs"], rule["apiGroups"], rule["resources"])
    }


def test_the_role_grants_every_call_and_no_other(calls, granted):
    assert granted == calls


@pytest.fixture(scope="module")
def katib_calls():
    """(verb, group, resource) of searches that go well, are joined, and are begun again after a failure."""
    recorded = set()
    for before in (None, {}, {"conditions": [{"type": "Failed", "status": "True"}]}):
        with KubernetesDouble(katib.succeeds) as double:
            if before is not None:
                double.put("experiments", {**katib.manifest(owner="earlier"), "status": before})
                if not before:
                    threading.Timer(0.3, katib.succeeds, (double, katib.manifest())).start()
            with client.ApiClient(client.Configuration(host=double.url)) as api:
                run_experiment(
                    Cluster(api, NAMESPACE, EXPERIMENTS), katib.manifest(owner="step"), interval=0.1
                )
            recorded |= set(double.calls)
    return recorded


def test_with_katib_the_role_grants_what_a_search_calls_too_and_no_other(calls, katib_calls, render):
    role = find(render("multi-user-values.yaml"), "Role", "vision-frcnn-launcher")
    granted = {
        triple
        for rule in role["rules"]
        for triple in itertools.product(rule["verbs"], rule["apiGroups"], rule["resources"])
    }
    assert granted == calls | katib_calls


def test_no_right_is_a_wildcard_or_cluster_wide(render):
    objects = render("multi-user-values.yaml")
    assert not [each for each in objects if each["kind"].startswith("Cluster")]
    for role in (each for each in objects if each["kind"] == "Role"):
        assert "*" not in str(role["rules"])


def test_rights_are_the_launchers_and_those_of_listed_subjects(render):
    binding = find(render("multi-user-values.yaml"), "RoleBinding", "vision-frcnn-launcher")
    assert binding["roleRef"]["name"] == "vision-frcnn-launcher"
    subjects = [(each["kind"], each["name"], each.get("namespace")) for each in binding["subjects"]]
    assert subjects == [
        ("ServiceAccount", "frcnn-launcher", "team"),
        ("ServiceAccount", "default-editor", "team"),
        ("Group", "vision-team", None),
    ]


def test_the_account_that_publishes_has_what_a_multi_user_kubeflow_asks_about_it(render):
    """Source: pipeline_server.go, pipeline_upload_server.go and job_server.go of kubeflow/pipelines."""
    objects = render("multi-user-values.yaml")
    role = find(objects, "Role", "vision-frcnn-publish")
    assert role["metadata"]["namespace"] == "vision"  # that of the pipeline, for which Kubeflow asks
    rules = {
        (verb, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        if rule["apiGroups"] == ["pipelines.kubeflow.org"]
    }
    asked = {(verb, "pipelines") for verb in ("list", "get", "create")}
    asked |= {(verb, "jobs") for verb in ("list", "create", "disable")}
    assert asked <= rules
    (subject,) = find(objects, "RoleBinding", "vision-frcnn-publish")["subjects"]
    assert (subject["name"], subject["namespace"]) == ("frcnn-publish", "team")
    (job,) = [each for each in objects if each["kind"] == "Job" and "publish" in each["metadata"]["name"]]
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "frcnn-publish"


def test_with_a_token_the_pipeline_goes_to_the_releases_namespace_unless_told(render):
    publish = {"enabled": True, "token": True, "pipeline": "pipelineInfo: {name: a}"}
    s3 = {"endpoint": "http://m:9000", "existingSecret": "keys"}
    objects = render({"publish": publish, "s3": s3})
    assert find(objects, "Role", "vision-frcnn-publish")["metadata"]["namespace"] == "team"
    (job,) = [each for each in objects if each["kind"] == "Job" and "publish" in each["metadata"]["name"]]
    assert "'PIPELINE_NAMESPACE', 'value': 'team'" in str(job)


def test_training_account_has_no_rights_and_no_token(render):
    objects = render("multi-user-values.yaml")
    account = find(objects, "ServiceAccount", "frcnn-training")
    assert account["automountServiceAccountToken"] is False
    bindings = [each for each in objects if each["kind"] == "RoleBinding"]
    assert "frcnn-training" not in str(bindings)
