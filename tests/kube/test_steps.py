"""The pods of the pipeline's steps before a real API server that enforces PodSecurity "restricted"."""

import os

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from pipelines import pods
from pipelines.compile import compile_all
from tests.conformance.backend import RELEASES
from tests.conformance.record import YAML, walked

pytestmark = [pytest.mark.kube, pytest.mark.timeout(600)]

HARDENED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture(scope="module")
def for_216(tmp_path_factory):
    os.environ[pods.NON_ROOT_VARIABLE] = "1"
    path, *_ = compile_all(tmp_path_factory.mktemp("restricted"))
    del os.environ[pods.NON_ROOT_VARIABLE]
    return path


def variable(name, value):
    if isinstance(value, str):
        return {"name": name, "value": value}
    kind = "secret" if "secret" in value else "configMap"
    place = {"name": value[kind], "key": value["key"], "optional": value["optional"]}
    return {"name": name, "valueFrom": {f"{kind}KeyRef": place}}


def pod_of(step):
    """The pod of a step as Kubeflow Pipelines 2.16 and later make it; its own containers are hardened."""
    mounts = {f"v{n}": (path, each) for n, (path, each) in enumerate(step.volumes.items())}
    name = step.name.replace(" ", "-")
    main = {
        "name": "main",
        "image": step.image,
        "command": ["/kfp-launcher/launch"],
        "env": [variable(*each) for each in step.environment.items()],
        "resources": step.resources,
        "securityContext": step.security_context,
        "volumeMounts": [{"name": key, "mountPath": path} for key, (path, _) in mounts.items()],
    }
    return {
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "initContainers": [{"name": "kfp-launcher", "image": "launcher", "securityContext": HARDENED}],
            "containers": [main],
            "volumes": [
                {"name": key, "emptyDir": {"medium": each["emptyDir"], "sizeLimit": each["sizeLimit"]}}
                for key, (_, each) in mounts.items()
            ],
        },
    }


@pytest.mark.parametrize("release", ["2.16.1", "2.17.0"])
def test_pods_of_all_steps_are_admitted(plane, namespace, for_216, release):
    core = client.CoreV1Api(plane.admin)
    steps = walked(RELEASES[release], for_216).steps
    assert len(steps) == 10
    for step in steps:
        core.create_namespaced_pod(namespace, pod_of(step), dry_run="All")


def test_without_the_security_context_they_are_not(plane, namespace):
    """This is what the YAML for 2.15 gets; otherwise the test above would show nothing."""
    step = walked(RELEASES["2.17.0"], YAML).steps[0]
    with pytest.raises(ApiException, match=r"runAsNonRoot != true"):
        client.CoreV1Api(plane.admin).create_namespaced_pod(namespace, pod_of(step), dry_run="All")
