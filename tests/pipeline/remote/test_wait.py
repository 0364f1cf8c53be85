"""Waiting for a run on a cluster: what is said, and which exit code each outcome has."""

import re
from types import SimpleNamespace

import pytest

from tests.pipeline.remote.commands import ALL, RUNNING, STUCK, submit


def test_waiting_says_what_steps_do_and_ends_well_if_a_model_was_exported(kubeflow, spec, capsys):
    kubeflow.script = [("PENDING", []), RUNNING, ("SUCCEEDED", ALL)]
    assert submit(kubeflow, spec, "--wait") == 0
    shown = capsys.readouterr()
    for line in ("step train: running", "step train: succeeded", "step retrain: succeeded"):
        assert line in shown.err
    table = [line.split() for line in shown.out.splitlines()]
    assert ["evaluate", "retrained", "succeeded", "30"] in table
    assert "root-driver" not in shown.out + shown.err


def test_a_missed_floor_is_exit_code_1(kubeflow, spec, capsys):
    kubeflow.script = [("SUCCEEDED", [*ALL[:3], ("notify", "SUCCEEDED")])]
    assert submit(kubeflow, spec, "--wait", "--minimum_map", "0.9") == 1
    error = capsys.readouterr().err
    assert (
        "run run-0 exported no model: a mAP gate was missed (minimum_map 0.9; last step: evaluate)" in error
    )
    assert "Train for longer (--epochs), or, for a trial, pass --minimum_map 0 --tolerance 1" in error


def test_a_failed_step_is_named_with_its_error(kubeflow, spec, capsys):
    image = "ImagePullBackOff: frcnn-train:9.9 not found"
    kubeflow.script = [("FAILED", [("convert", "SUCCEEDED"), ("train", "FAILED", image)])]
    assert submit(kubeflow, spec, "--wait") == 1
    assert f"run run-0 failed: step train failed: {image}" in capsys.readouterr().err


def test_a_cancelled_run_ends_the_waiting(kubeflow, spec, capsys):
    kubeflow.script = [RUNNING, ("CANCELED", [("train", "FAILED")])]
    assert submit(kubeflow, spec, "--wait") == 1
    assert "run run-0 was canceled. Submit it again" in capsys.readouterr().err


def test_waiting_ends_after_the_timeout_and_says_how_to_go_on(kubeflow, spec, capsys):
    kubeflow.script = [RUNNING]
    assert submit(kubeflow, spec, "--wait", "--timeout", "0.05") == 1
    assert "Follow it again with: frcnn pipeline status run-0 --wait" in capsys.readouterr().err


def test_a_pod_that_does_not_start_ends_the_waiting_with_what_may_be_wrong_and_how_to_see_it(
    kubeflow, spec, capsys
):
    kubeflow.script = [("PENDING", []), STUCK]
    assert submit(kubeflow, spec, "--wait", "--stalled", "0.3", "--namespace", "team") == 1
    said = capsys.readouterr().err
    assert re.search(r"run run-0: step convert has not started: its pod is pending, for \d+ s:", said)
    assert "kubectl -n team describe pods -l pipeline/runid=run-0" in said
    assert "Cancel it with frcnn pipeline cancel run-0" in said


def test_a_step_that_trains_for_long_is_not_taken_for_one_that_does_not_start(kubeflow, spec, capsys):
    training = ("RUNNING", [("train-driver", "SUCCEEDED"), ("train", "RUNNING"), ("executor", "RUNNING")])
    for long in (training, ("RUNNING", [])):
        kubeflow.script = [long] * 20 + [("SUCCEEDED", ALL)]
        assert submit(kubeflow, spec, "--wait", "--stalled", "0.05") == 0


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([("PENDING", [])], "no step has started"),
        (
            [("RUNNING", [("train-driver", "PENDING")])],
            "step train has not started: the pod that prepares it",
        ),
    ],
)
def test_whatever_does_not_start_is_named(script, said, kubeflow, spec, capsys):
    kubeflow.script = script
    assert submit(kubeflow, spec, "--wait", "--stalled", "0.1") == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("down", [False, True])
def test_neither_a_long_poll_nor_a_server_that_is_down_outlasts_the_timeout(down):
    from frcnn.errors import RunError
    from pipelines.remote.connection import ServerError
    from pipelines.remote.follow import follow

    class Asked:
        namespace = None

        def ask(self, question, what=""):
            if down:
                raise ServerError("it is unreachable", None)
            return SimpleNamespace(state="RUNNING", run_details=None, run_id="run-1")

    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    message = "it is unreachable" if down else "has not ended after 45 s and continues"
    with pytest.raises(RunError, match=message):
        follow(Asked(), "run-1", {}, poll=600, timeout=45, sleep=sleep, clock=lambda: now[0])
    assert now[0] == 45


def test_the_timeout_tells_of_a_pod_that_has_not_started(kubeflow, spec, capsys):
    kubeflow.script = [STUCK]
    assert submit(kubeflow, spec, "--wait", "--timeout", "0.1") == 1
    assert "step convert has not started: its pod is pending" in capsys.readouterr().err
