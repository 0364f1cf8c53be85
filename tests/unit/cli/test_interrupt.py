"""Ctrl-C at any moment: exit code 130 and no stack trace."""

import signal
import subprocess
import sys
import time

import pytest

from tests.support.task_spec import write_spec
from tests.support.unmeasured import unmeasured

# Reports its start as the first thing in `main`, since Python itself prints an interrupt before that.
PROGRAM = """
import signal, sys
from frcnn.cli.main import main

# As in a terminal, also if the tests run in the background of a shell, which ignores the signal.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Words(list):
    def __iter__(self):
        print("begun", flush=True)
        return super().__iter__()

sys.exit(main(Words(sys.argv[1:])))
"""


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15, 0.4])
def test_an_interrupted_command_ends_without_a_stack_trace(tmp_path, delay):
    spec = write_spec(tmp_path / "spec.txt")
    # Long enough to be met at work: a thousand checks of the spec.
    command = [sys.executable, "-c", PROGRAM, "spec", "check", *[str(spec)] * 1000]
    run = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=unmeasured(), text=True
    )
    assert run.stdout is not None and run.stdout.readline() == "begun\n"
    time.sleep(delay)
    run.send_signal(signal.SIGINT)
    try:
        _, errors = run.communicate(timeout=60)
    finally:
        run.kill()
    assert "Traceback" not in errors
    assert run.returncode == 130


# Ctrl-C arrives while a finalizer runs, where Python discards exceptions.
LOST = """
import os, signal, sys
from frcnn.cli.main import main

signal.signal(signal.SIGINT, signal.default_int_handler)

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})

from frcnn.cli import spec

def check(args):
    Finalized()
    print("the interrupt was discarded", flush=True)
    while True:
        pass

spec.run = check
sys.exit(main(["spec", "check", "spec.txt"]))
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_that_python_discards_ends_the_command_all_the_same(name, code):
    command = [sys.executable, "-c", LOST.replace("{name}", name)]
    run = subprocess.run(command, env=unmeasured(), capture_output=True, text=True, check=False, timeout=120)
    assert run.stdout == "the interrupt was discarded\n"
    assert "Traceback" not in run.stderr and "ignored" not in run.stderr
    assert run.returncode == code
