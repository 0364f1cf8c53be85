"""The chart against a real API server: strict fields, PodSecurity, what Helm's lookups find, upgrades."""

import pytest
import yaml
from helm_python.chart import Chart
from helm_python.config import Config
from helm_python.errors import HelmError
from kubernetes import client

from tests.charts.conftest import CHART, VALUE_SETS
from tests.kube.control_plane import decoded

pytestmark = [pytest.mark.kube, pytest.mark.timeout(600)]

OWN_KEYS = "mlpipeline-minio-artifact"
SERVER = {"s3Server": {"enabled": True}}


@pytest.fixture
def helm(plane, namespace):
    with Config(kubeconfig_path=plane.kubeconfig(namespace), namespace=namespace) as config:
        yield config


@pytest.fixture
def core(plane):
    return client.CoreV1Api(plane.admin)


def values_of(name):
    return yaml.safe_load((CHART / "ci" / name).read_text("utf-8"))


def make_keys(core, namespace):
    keys = {"accesskey": "minio\n", "secretkey": "minio123"}
    core.create_namespaced_secret(namespace, {"metadata": {"name": OWN_KEYS}, "stringData": keys})


@pytest.mark.parametrize("name", VALUE_SETS)
def test_every_object_is_taken_and_every_pod_admitted(plane, namespace, name):
    values = values_of(name)
    if values.get("publish", {}).get("namespace"):
        values["publish"]["namespace"] = namespace
    with Chart.load(CHART) as chart:
        files = chart.render(values, name="vision", namespace=namespace)
    texts = [text for path, text in files.items() if path.endswith(".yaml")]
    objects = [each for text in texts for each in yaml.safe_load_all(text) if each]
    accounts = [each for each in objects if each["kind"] == "ServiceAccount"]
    for each in (*accounts, *objects):  # pods name accounts that have to be there
        plane.apply(each)
    pods = client.CoreV1Api(plane.admin)
    for each in objects:
        template = each.get("spec", {}).get("template")
        if template:
            body = {"metadata": {**template["metadata"], "name": "probe"}, "spec": template["spec"]}
            pods.create_namespaced_pod(namespace, body, dry_run="All")


def test_a_field_that_does_not_exist_is_refused(plane, namespace):
    """Otherwise the test above would show nothing."""
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": namespace}}
    with pytest.raises(client.ApiException, match="field not declared in schema"):
        plane.apply({**body, "spec": {"prots": []}})


def test_beside_kubeflow_the_keys_reach_the_secret_of_the_steps(helm, core, namespace):
    make_keys(core, namespace)
    helm.install(CHART, "vision", values_of("kubeflow-values.yaml"), namespace=namespace)
    assert decoded(core.read_namespaced_secret("frcnn-s3", namespace)) == {
        "accesskey": "minio",
        "secretkey": "minio123",
        "endpoint": "http://seaweedfs.kubeflow:9000",
        "region": "us-east-1",
    }


def test_a_secret_that_is_not_there_is_named_before_anything_is_made(helm, core, namespace):
    with pytest.raises(HelmError, match=f"no secret {OWN_KEYS} .* was found in namespace {namespace}"):
        helm.install(CHART, "vision", values_of("kubeflow-values.yaml"), namespace=namespace)
    names = [each.metadata.name for each in core.list_namespaced_service_account(namespace).items]
    assert names == ["default"]


def server_pod(plane, namespace):
    apps = client.AppsV1Api(plane.admin)
    return apps.read_namespaced_deployment("vision-frcnn-s3", namespace).spec.template.to_dict()


def test_random_keys_are_kept_on_upgrades_and_given_ones_restart_the_server(helm, core, plane, namespace):
    def keys():
        return decoded(core.read_namespaced_secret("vision-frcnn-s3", namespace))

    def steps():
        return decoded(core.read_namespaced_secret("frcnn-s3", namespace))

    helm.install(CHART, "vision", SERVER, namespace=namespace)
    first, pod = keys(), server_pod(plane, namespace)
    assert len(first["secretkey"]) == 40
    helm.upgrade(CHART, "vision", {**SERVER, "s3": {"bucket": "other"}}, namespace=namespace)
    assert keys() == first
    assert server_pod(plane, namespace) == pod
    helm.upgrade(CHART, "vision", {**SERVER, "s3": {"secretKey": "rotated\n"}}, namespace=namespace)
    assert keys()["secretkey"] == steps()["secretkey"] == "rotated"
    assert server_pod(plane, namespace) != pod
    jobs = client.BatchV1Api(plane.admin).list_namespaced_job(namespace).items
    assert len({each.metadata.name for each in jobs}) == 1  # Helm removes those of earlier revisions


def test_a_second_release_in_the_namespace_is_refused_with_a_sentence(helm, namespace):
    helm.install(CHART, "vision", SERVER, namespace=namespace)
    with pytest.raises(
        HelmError, match=r"release vision of this chart is in namespace .* already, and there is"
    ):
        helm.install(CHART, "other", SERVER, namespace=namespace)


def test_helm_keeps_the_random_key_of_the_first_installation(helm, core, namespace):
    helm.install(CHART, "vision", SERVER, namespace=namespace)
    first = decoded(core.read_namespaced_secret("frcnn-s3", namespace))
    helm.upgrade(CHART, "vision", SERVER, namespace=namespace)
    assert decoded(core.read_namespaced_secret("frcnn-s3", namespace)) == first


def test_helm_makes_the_namespace_and_looks_into_it(helm, core, plane, namespace):
    """The look at the cluster comes before the namespace."""
    other = f"{namespace}-new"
    helm.install(CHART, "vision", SERVER, namespace=other, create_namespace=True)
    assert len(decoded(core.read_namespaced_secret("frcnn-s3", other))["secretkey"]) == 40
