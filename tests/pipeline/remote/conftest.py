"""A server of Kubeflow Pipelines for tests of runs on it, and a spec."""

import contextlib

import pytest

from pipelines.remote import package
from tests.pipeline.remote.commands import YAML
from tests.pipeline.tiny import SPEC
from tests.support.kubeflow_double import KubeflowDouble
from tests.support.step_variables import STEP_VARIABLES


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("ENDPOINT", "NAMESPACE", "TOKEN", "SA_TOKEN_PATH"):
        monkeypatch.delenv(f"KF_PIPELINES_{name}", raising=False)
    for name in STEP_VARIABLES:
        # Set and deleted, so that what a command puts there goes at the end.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def compiled_before(monkeypatch):
    """The checked-in YAML, which is what would be compiled (test_compiled.py), at less cost."""
    monkeypatch.setattr(package, "compiled", lambda args: contextlib.nullcontext(YAML))


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.txt"
    path.write_text(SPEC)
    return path


@pytest.fixture
def kubeflow():
    with KubeflowDouble() as double:
        yield double
    assert double.faults == []
