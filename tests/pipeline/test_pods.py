"""Where steps' pods may run and how much disk they need: from flags to the pod."""

import argparse
import os

import pytest
import yaml

from frcnn.errors import UsageError
from pipelines import pods
from pipelines.compile import compile_all
from pipelines.remote import package, versions
from tests.conformance.backend import RELEASES, BackendError
from tests.conformance.record import walked
from tests.support.step_variables import POD_VARIABLES, STEP_VARIABLES

FLAGS = [
    *("--node_selector", "kubernetes.io/arch=amd64", "--node_selector", "retrain@pool=gpu"),
    *("--toleration", "train@nvidia.com/gpu:NoSchedule", "--toleration", "spot=yes"),
    *("--ephemeral_storage", "100Gi"),
    *("--image_pull_secret", "registry-login", "--image_pull_secret", "train@gpu-registry"),
]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in STEP_VARIABLES:
        # Set and deleted, so that what the flags put there goes at the end.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def parsed(*words):
    flags = argparse.ArgumentParser()
    package.add_image_flags(flags)
    pods.add_flags(flags)
    return flags.parse_args(words)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    before = dict(os.environ)
    package.choose_images(parsed(*FLAGS))
    path = compile_all(tmp_path_factory.mktemp("pods"))[0]
    for name in POD_VARIABLES:
        os.environ.pop(name, None)
    assert dict(os.environ) == before
    return path


@pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)
def test_pods_get_what_flags_say(compiled, release):
    steps = {step.name: step for step in walked(release, compiled).steps}
    arch = {"kubernetes.io/arch": "amd64"}
    for name, step in steps.items():
        assert step.node_selector == (arch | {"pool": "gpu"} if name == "retrain" else arch)
        spot = {"key": "spot", "operator": "Equal", "value": "yes"}
        gpu = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        assert [gpu, spot] == step.tolerations if name == "train" else [spot] == step.tolerations
        limits = step.resources["limits"]
        if name in ("train", "retrain"):
            assert (limits["nvidia.com/gpu"], "ephemeral-storage" in limits) == ("1", False)
        else:
            assert limits["ephemeral-storage"] == str(100 * 1024**3)


def test_pods_get_the_secrets_that_their_images_need(compiled):
    _, platform = yaml.safe_load_all(compiled.read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    secrets = {
        name: [each["secretName"] for each in executor["imagePullSecret"]]
        for name, executor in executors.items()
    }
    assert secrets.pop("exec-train") == ["registry-login", "gpu-registry"]
    assert len(secrets) > 5
    assert all(names == ["registry-login"] for names in secrets.values())


@pytest.fixture(scope="module")
def restricted(tmp_path_factory):
    os.environ[pods.NON_ROOT_VARIABLE] = ""
    pods.choose_release(versions.given("2.16"))
    path, *_ = compile_all(tmp_path_factory.mktemp("restricted"))
    del os.environ[pods.NON_ROOT_VARIABLE]
    return path


@pytest.mark.parametrize("release", ["2.16.1", "2.17.0", "2.17.1"])
def test_from_216_on_every_pod_meets_the_restricted_standard(restricted, release):
    steps = walked(RELEASES[release], restricted).steps
    assert len(steps) == 10
    for step in steps:
        assert step.security_context == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
            "runAsNonRoot": True,
        }


def test_215_refuses_what_was_compiled_for_216_and_takes_what_was_compiled_for_it(restricted):
    with pytest.raises(BackendError, match='unknown field "securityContext"'):
        walked(RELEASES["2.15.0"], restricted)
    assert {str(step.security_context) for step in walked(RELEASES["2.15.0"]).steps} == {"{}"}


@pytest.mark.parametrize(
    ("release", "expected"), [((2, 15, 0), ""), ((2, 16, 0), "1"), ((2, 16), "1"), ((3, 0), "1"), (None, "")]
)
def test_a_server_gets_a_security_context_if_it_knows_one(release, expected, monkeypatch):
    monkeypatch.setenv(pods.NON_ROOT_VARIABLE, "")
    pods.choose_release(release)
    assert os.environ[pods.NON_ROOT_VARIABLE] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("new", "--server_release new: expected the release of the server, such as 2.16"),
        ("2.16-rc", "--server_release 2.16-rc: expected the release"),
        ("2.13", "--server_release 2.13: Kubeflow Pipelines 2.13 is older than 2.15, the oldest"),
    ],
)
def test_a_release_to_compile_for_has_to_be_one(text, message):
    with pytest.raises(UsageError, match=message):
        versions.given(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--image_pull_secret", "My Login"], "--image_pull_secret My Login: expected the name of a secret"),
        (["--node_selector", "pool"], "--node_selector pool: expected LABEL=VALUE"),
        (["--node_selector", "pool=a b"], "--node_selector pool=a b: expected LABEL=VALUE"),
        (["--node_selector", "my pool=a"], "--node_selector my pool=a: expected LABEL=VALUE"),
        (["--toleration", "a b:NoSchedule"], "--toleration a b:NoSchedule: expected KEY"),
        (["--ephemeral_storage", "0.5"], "--ephemeral_storage 0.5: expected a size such as 100Gi"),
        (
            ["--registry", "https://my.registry/team"],
            "https://my.registry/team/frcnn-train:0.1.0 is not the name of",
        ),
        (["--tag", "1 2"], "frcnn-train:1 2 is not the name of an image"),
        (
            ["--node_selector", "trian@pool=gpu"],
            "--node_selector trian@...: no such step; expected one of compare",
        ),
        (["--toleration", "a:Never"], "--toleration a:Never: expected KEY"),
        (["--ephemeral_storage", "much"], "--ephemeral_storage much: expected a size such as 100Gi"),
        (
            ["--ephemeral_storage", "train@10Gi"],
            "train@10Gi: not supported for steps with GPUs",
        ),
        (["--ephemeral_storage", "0"], "--ephemeral_storage 0: expected a size such as 100Gi"),
    ],
)
def test_what_is_not_understood_is_refused_before_anything_is_compiled(words, message):
    with pytest.raises(UsageError, match=message):
        package.choose_images(parsed(*words))


@pytest.mark.parametrize(
    ("registry", "tag"),
    [
        ("localhost:5000", "1.2"),
        ("My.Registry:443/team-a/vision_x/", "v1.2-rc.1"),
        ("registry\n", "_x"),
        ("", ""),
    ],
)
def test_names_of_images_that_registries_take_are_taken(registry, tag, monkeypatch):
    monkeypatch.setenv("FRCNN_REGISTRY", registry)
    monkeypatch.setenv("FRCNN_TAG", tag)
    package.choose_images(parsed())
