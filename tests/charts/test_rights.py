"""The launcher's Role grants what the client does, as the API double recorded it, and nothing else."""

import contextlib
import dataclasses
import itertools
import threading

import pytest
from kubernetes import client

from components.mpijob.api import Cluster
from components.mpijob.job import Owner, Resources, TrainingJob
from components.mpijob.manifest import manifest
from components.mpijob.supervise import Patience, run_job
from frcnn.errors import RunError
from tests.charts.conftest import find
from tests.support import mpi_operator
from tests.support.kubernetes_double import NAMESPACE, KubernetesDouble

QUICK = Patience(image=0.2, look=0.1)
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


def test_training_account_has_no_rights_and_no_token(render):
    objects = render("multi-user-values.yaml")
    account = find(objects, "ServiceAccount", "frcnn-training")
    assert account["automountServiceAccountToken"] is False
    bindings = [each for each in objects if each["kind"] == "RoleBinding"]
    assert "frcnn-training" not in str(bindings)
