import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[3] / "shared" / "src"


@pytest.fixture(autouse=True)
def process_left_alone(monkeypatch):
    """Environment and log handlers that the command line sets are put back."""
    for name in ("CUDA_VISIBLE_DEVICES", "TF_CPP_MIN_LOG_LEVEL", "KERAS_BACKEND"):
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)
    root, ours = logging.getLogger(), logging.getLogger("frcnn")
    before = root.level, ours.level
    yield
    for handler in [each for each in root.handlers if getattr(each, "of_frcnn", False)]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(before[0])
    ours.setLevel(before[1])


@pytest.fixture
def environment():
    """Environment of a child process that finds this checkout's frcnn."""
    paths = [str(SOURCES), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.fixture
def python(environment, tmp_path):
    """Runs a Python child process with the words given; returns what it did."""

    def run(*words):
        command = [sys.executable, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

    return run
