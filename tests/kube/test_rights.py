"""The chart's service accounts before the real authorizer, each with its own token."""

import itertools

import pytest
import yaml
from helm_python.chart import Chart
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.mpijob.api_errors import RefusedError
from components.mpijob.cluster import Cluster
from components.mpijob.job import Resources, TrainingJob
from components.mpijob.manifest import manifest
from tests.charts.conftest import CHART
from tests.kube.control_plane import wait_until

pytestmark = [pytest.mark.kube, pytest.mark.timeout(600)]


@pytest.fixture
def installed(plane, namespace):
    """The chart's accounts and roles, for a multi-user Kubeflow."""
    values = yaml.safe_load((CHART / "ci/multi-user-values.yaml").read_text("utf-8"))
    values["publish"]["namespace"] = namespace
    with Chart.load(CHART) as chart:
        files = chart.render(values, name="vision", namespace=namespace)
    for path, text in files.items():
        if path.endswith(("rbac.yaml", "serviceaccounts.yaml")):
            for each in yaml.safe_load_all(text):
                plane.apply(each)
    return namespace


@pytest.fixture
def as_account(plane, installed):
    made = []

    def make(name):
        made.append(plane.client(plane.token_of(name, installed)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def job_in(namespace, name="kitti"):
    return TrainingJob(name, namespace, "image:1", ("true",), 1, Resources("1", "1Gi"))


def test_the_launcher_does_all_that_a_training_takes(installed, as_account, mpijobs):
    cluster = Cluster(as_account("frcnn-launcher"), installed)
    created = cluster.create(manifest(job_in(installed)))
    assert created is not None
    version = created["metadata"]["resourceVersion"]
    assert cluster.create(manifest(job_in(installed))) is None
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "step", "uid": "1", "blockOwnerDeletion": False}
    assert cluster.set_owners("kitti", [owner], version)
    assert cluster.set_owners("kitti", [owner], version) is False  # changed since
    assert next(iter(cluster.watch("kitti", version, 1)))[0] == "MODIFIED"
    assert cluster.pods("kitti") == []
    assert list(cluster.watch_pods("kitti", None, 1)) == []
    assert list(cluster.watch_events("kitti", None, 1)) == []
    cluster.delete("kitti")
    wait_until(lambda: cluster.get("kitti") is None)


def test_the_launcher_may_do_nothing_else(installed, as_account, mpijobs):
    api = as_account("frcnn-launcher")
    core, batch, objects = client.CoreV1Api(api), client.BatchV1Api(api), client.CustomObjectsApi(api)
    pod = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    for call in (
        lambda: core.list_namespaced_secret(installed),
        lambda: core.read_namespaced_secret("frcnn-s3", installed),
        lambda: core.create_namespaced_pod(installed, pod),
        lambda: core.delete_namespaced_pod("x", installed),
        lambda: core.list_namespaced_pod("default"),
        lambda: core.list_node(),
        lambda: batch.list_namespaced_job(installed),
        lambda: objects.list_namespaced_custom_object("kubeflow.org", "v2beta1", installed, "mpijobs"),
    ):
        with pytest.raises(ApiException) as caught:
            call()
        assert caught.value.status == 403


def test_the_training_account_may_do_nothing(installed, as_account, mpijobs):
    with pytest.raises(RefusedError, match=r"cannot create resource .*Install the chart frcnn-pipelines"):
        Cluster(as_account("frcnn-training"), installed).create(manifest(job_in(installed)))


def asked(plane, account, namespace, verb, resource):
    """Sends a SubjectAccessReview for the owner of a token, as Kubeflow's API server does."""
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": "pipelines.kubeflow.org",
        "version": "v1beta1",
        "resource": resource,
        "name": "faster-rcnn",
    }
    user = f"system:serviceaccount:{namespace}:{account}"
    body = {"spec": {"user": user, "resourceAttributes": attributes}}
    return client.AuthorizationV1Api(plane.admin).create_subject_access_review(body).status.allowed


def test_the_publisher_and_nobody_else_may_do_what_kubeflow_asks_about(plane, installed):
    needed = [*itertools.product(("list", "get", "create"), ("pipelines",))]
    needed += itertools.product(("list", "create", "disable"), ("jobs",))
    for verb, resource in needed:
        assert asked(plane, "frcnn-publish", installed, verb, resource), (verb, resource)
        assert not asked(plane, "frcnn-training", installed, verb, resource)
    assert not asked(plane, "frcnn-publish", installed, "delete", "pipelines")
    assert not asked(plane, "frcnn-publish", installed, "create", "runs")


def test_a_missing_crd_is_told_with_a_remedy(plane, namespace):
    """Named differently on purpose: the CRD may have been installed by another test of this session."""
    cluster = Cluster(plane.admin, namespace)
    cluster._request["version"] = "v1"  # as beside a training-operator, whose MPIJob is of that version
    with pytest.raises(
        RefusedError, match=r"has no MPIJob resource \(kubeflow.org/v2beta1\). Install mpi-operator"
    ):
        cluster.create(manifest(job_in(namespace)))
