"""Steps as processes: their command, their environment, their failures, and their end."""

import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from kfp import dsl, local
from kfp.local.status import Status

from frcnn.errors import RunError
from pipelines.local.processes import ProcessTaskHandler, run_pipeline
from tests.support.unmeasured import unmeasured

ROOT = Path(__file__).parents[2]


def handler(*command, **env):
    return ProcessTaskHandler("any-image", list(command), "root", local.SubprocessRunner(use_venv=False), env)


def test_python_is_the_one_that_runs_the_tests_and_finds_our_packages(tmp_path):
    code = "import sys, components.images; open(sys.argv[1], 'w').write(sys.executable)"
    assert handler("python", "-c", code, str(tmp_path / "out")).run() == Status.SUCCESS
    assert (tmp_path / "out").read_text() == sys.executable


def test_a_folder_of_the_users_named_like_our_package_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "components").mkdir()
    (tmp_path / "components" / "__init__.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert handler("python", "-c", "import components.images").run() == Status.SUCCESS


def test_an_exit_code_other_than_0_is_a_failure():
    assert handler("python", "-c", "raise SystemExit(2)").run() == Status.FAILURE


def test_environment_of_the_container_is_passed_on():
    code = "import os; raise SystemExit(os.environ['COLOR'] != 'green')"
    assert handler("python", "-c", code, COLOR="green").run() == Status.SUCCESS


@dsl.container_component
def quits():
    return dsl.ContainerSpec(image="none", command=["python", "-c", "raise SystemExit(1)"])


@dsl.pipeline(name="quitting")
def quitting():
    quits().set_display_name("the one that quits").set_retry(3, backoff_duration="60s")


def test_a_failing_step_is_not_tried_again_here(tmp_path):
    steps, before = [], ProcessTaskHandler.started
    with pytest.raises(RunError, match="step the one that quits failed"):
        run_pipeline(quitting, {}, tmp_path / "artifacts", tmp_path / "cache", steps)
    assert ProcessTaskHandler.started == before + 1
    assert [step.state for step in steps] == ["failed"]


def test_a_terminated_run_ends_its_step_first(tmp_path):
    pid_file = str(tmp_path / "pid")
    step = f"import os, time; open({pid_file!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    script = f"""
        import signal
        from kfp import local
        from frcnn.console.signals import terminate_as_interrupt
        from pipelines.local.processes import ProcessTaskHandler
        runner = local.SubprocessRunner(use_venv=False)
        # As in a terminal, also if the tests run under nohup.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with terminate_as_interrupt():
            ProcessTaskHandler("none", ["python", "-c", {step!r}], "root", runner, {{}}).run()
    """
    path = os.pathsep.join([str(ROOT / "shared" / "src"), str(ROOT)])
    run = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**unmeasured(), "PYTHONPATH": path},
        stderr=subprocess.DEVNULL,
    )
    pid = int(wait_for_text(tmp_path / "pid"))
    run.send_signal(signal.SIGTERM)
    assert run.wait(600) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def wait_for_text(path):
    for _ in range(6000):
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.1)
    raise AssertionError(f"{path} was not written")


SHOW = """
import json, os, sys
from pathlib import Path
words = Path("/proc/self/cmdline").read_text() if Path("/proc/self/cmdline").exists() else ""
Path("got").write_text(json.dumps([sys.argv[1], words, os.environ.get("FRCNN_KEY")]))
"""


@dsl.container_component
def shows(text: str, other: str):
    return dsl.ContainerSpec(image="none", command=["python", "-c", SHOW, text, other])


@dsl.pipeline(name="showing")
def showing(text: str, other: str):
    shows(text=text, other=other)


PLACEHOLDERS = (
    "{{$}}",
    "{{$.inputs.parameters['other']}}",
    "{{$.pipeline_job_name}} {{$.pipeline_root}} {{workspace_path}} /kfp-workspace",
    "{{$.json_escape[1]}}",
    '{"Concat": ["a", "b"]}',
)


@pytest.mark.parametrize("text", [*PLACEHOLDERS, "100 % {} {{x}} $HOME `ls`\n", "x" * 300_000])
def test_a_text_reaches_a_step_as_it_was_given_and_on_no_command_line(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    steps, places = [], (tmp_path / "artifacts", tmp_path / "cache")
    run_pipeline(showing, {"text": text, "other": "SECRET"}, *places, steps, secrets={"FRCNN_KEY": "k"})
    got, words, key = json.loads((tmp_path / "got").read_text())
    assert (got, key) == (text, "k")
    assert "SECRET" not in words and text not in words


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_step_ends_with_its_runner(tmp_path, number):
    """A hang-up comes when the terminal goes away."""
    step = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    script = f"""
        import signal
        from kfp import local
        from frcnn.console.signals import terminate_as_interrupt
        from pipelines.local.processes import ProcessTaskHandler
        runner = local.SubprocessRunner(use_venv=False)
        # As in a terminal, also if the tests run under nohup.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with terminate_as_interrupt():
            ProcessTaskHandler("none", ["python", "-c", {step!r}], "root", runner, {{}}).run()
    """
    path = os.pathsep.join([str(ROOT / "shared" / "src"), str(ROOT)])
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**unmeasured(), "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as run:
        pid = int(run.stdout.readline())
        run.send_signal(number)
        # The step holds the pipe's other end: the pipe is at its end when the step is gone.
        ended, _, _ = select.select([run.stdout], [], [], 600)
        if not ended:
            os.kill(pid, signal.SIGKILL)
    assert ended
    assert run.returncode
