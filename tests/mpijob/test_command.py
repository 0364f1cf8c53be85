"""`python -m components.mpijob`, with a kubeconfig that points at the API double."""

import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from components.mpijob.__main__ import main
from tests.support import mpi_operator
from tests.support.unmeasured import unmeasured

FLAGS = ["--name", "kitti-train", "--image", "image:1", "--workers", "2"]


@pytest.fixture
def kubeconfig(double, tmp_path, monkeypatch):
    path = tmp_path / "config"
    context = {"name": "it", "context": {"cluster": "it", "user": "me", "namespace": "team"}}
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "it", "cluster": {"server": double.url}}],
                "users": [{"name": "me", "user": {"token": "x"}}],
                "contexts": [context],
                "current-context": "it",
            }
        ),
        "utf-8",
    )
    # The client library reads the variable when it is imported.
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def test_dry_run_prints_the_manifest(capsys, monkeypatch):
    monkeypatch.setenv("KFP_POD_NAME", "step-1")
    monkeypatch.setenv("KFP_POD_UID", "1234")
    flags = [*FLAGS, "--gpus", "8", "--toleration", "gpu=yes:NoSchedule", "--env", "A=b=c", "--dry_run"]
    assert main([*flags, "--", "frcnn", "train", "-e", "spec.txt"]) == 0
    document = yaml.safe_load(capsys.readouterr().out)
    assert document["metadata"]["ownerReferences"][0]["uid"] == "1234"
    assert document["spec"]["slotsPerWorker"] == 8
    launcher, worker = (
        document["spec"]["mpiReplicaSpecs"][role]["template"]["spec"] for role in ("Launcher", "Worker")
    )
    assert launcher["containers"][0]["command"][-4:] == ["frcnn", "train", "-e", "spec.txt"]
    assert launcher["containers"][0]["env"] == [{"name": "A", "value": "b=c"}]
    assert worker["tolerations"][0] == {
        "key": "gpu",
        "operator": "Equal",
        "value": "yes",
        "effect": "NoSchedule",
    }


@pytest.mark.parametrize(
    ("flags", "code", "text"),
    [
        (["--workers", "0"], 2, "Worker.replicas: got 0; expected 1 or more"),
        (["--env", "A"], 2, "--env A: expected NAME=VALUE"),
        (["--toleration", "a:Never"], 2, "EFFECT one of NoSchedule"),
        (["--s3_secret", "keys"], 2, "--s3_endpoint and --s3_secret must be given together"),
    ],
)
def test_wrong_flags(flags, code, text, caplog, capsys):
    assert main([*FLAGS, *flags, "--dry_run", "--", "frcnn"]) == code
    assert text in caplog.text + capsys.readouterr().err


def test_no_cluster(monkeypatch, tmp_path, caplog, capsys):
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    assert main([*FLAGS, "--", "frcnn"]) == 1
    assert "no access to a cluster" in caplog.text + capsys.readouterr().err


def test_job_runs_and_its_log_is_printed(double, kubeconfig, capsys):
    double.on_create = mpi_operator.succeeds
    assert main([*FLAGS, "--", "frcnn", "train"]) == 0
    assert capsys.readouterr().out == "epoch 1/2\nepoch 2/2\n"
    assert double.job("kitti-train") is not None


def test_failed_training_ends_with_1(double, kubeconfig, caplog, capsys):
    double.on_create = mpi_operator.fails
    assert main([*FLAGS, "--", "frcnn", "train"]) == 1
    assert "mpijob/kitti-train failed: BackoffLimitExceeded" in caplog.text + capsys.readouterr().err


def test_sigterm_to_the_step_deletes_the_job_and_ends_with_143(double, kubeconfig):
    double.on_create = mpi_operator.runs
    command = [sys.executable, "-m", "components.mpijob", *FLAGS, "--", "frcnn", "train"]
    step = subprocess.Popen(
        command, env={**unmeasured(), "PYTHONPATH": os.pathsep.join(sys.path)}, stderr=subprocess.PIPE
    )
    assert double.wait_for(("watch", "kubeflow.org", "mpijobs"), 600)
    time.sleep(0.3)
    step.send_signal(signal.SIGTERM)
    _, errors = step.communicate()
    assert step.returncode == 143
    assert b"Deleted mpijob/kitti-train and its pods" in errors
    assert double.job("kitti-train") is None
