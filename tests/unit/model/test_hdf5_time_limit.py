"""Reading HDF5 apart is limited in CPU time: a busy machine makes no file a damaged one."""

import os
import signal
import subprocess
import sys
import time

import h5py
import pytest

from frcnn.errors import ModelError
from frcnn.model.files import hdf5_process
from tests.support.unmeasured import unmeasured

LIMITED = """
import math, sys, time
from pathlib import Path
from frcnn.model.files import hdf5_process
# The imports have taken some already, more on a slow machine.
hdf5_process._SPARE_SECONDS = 1 + math.ceil(time.process_time())
hdf5_process.limit_time(Path(sys.argv[1]).stat().st_size)
{work}
"""


def run(work, path):
    command = [sys.executable, "-c", LIMITED.format(work=work), str(path)]
    return subprocess.run(command, env={**unmeasured(), "PYTHONPATH": os.pathsep.join(sys.path)}, check=False)


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["weights"] = [1.0, 2.0]
    return tmp_path / "a.h5"


def test_a_reader_that_computes_without_end_is_ended(path):
    assert run("while True: pass", path).returncode == -signal.SIGXCPU


def test_a_reader_that_has_to_wait_is_not(path):
    assert run("time.sleep(hdf5_process._SPARE_SECONDS + 0.5)", path).returncode == 0


def test_what_used_up_its_time_is_called_damaged_with_the_limit(path, monkeypatch):
    ended = subprocess.CompletedProcess([], -signal.SIGXCPU, b"", b"")
    monkeypatch.setattr(hdf5_process.subprocess, "run", lambda *args, **options: ended)
    with pytest.raises(ModelError, match=r"a\.h5: not readable in 60 s of CPU time; the file is damaged"):
        hdf5_process.read_tree_in_subprocess(path)


def test_a_good_file_is_read_although_its_reader_is_held_up(path, monkeypatch):
    """The reader is stopped as soon as it runs, for longer than its CPU limit."""
    monkeypatch.setattr(hdf5_process, "_SPARE_SECONDS", 1)
    start = subprocess.Popen

    class Held(start):
        def communicate(self, *args, **options):
            self.send_signal(signal.SIGSTOP)
            time.sleep(1.5)
            self.send_signal(signal.SIGCONT)
            return super().communicate(*args, **options)

    monkeypatch.setattr(hdf5_process.subprocess, "Popen", Held)
    assert hdf5_process.read_tree_in_subprocess(path).arrays["weights"].tolist() == [1.0, 2.0]
