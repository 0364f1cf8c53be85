"""Reading HDF5 apart keeps within the user's own limit of memory: too little of it damages no file."""

import os
import subprocess
import sys

import h5py
import pytest

from tests.support.unmeasured import unmeasured

MIB = 1 << 20
HEAD = """
import resource, sys
from pathlib import Path
from frcnn.errors import ModelError, RunError
from frcnn.model.files import hdf5_process
if sys.argv[2] != "none":
    limit = int(sys.argv[2]) << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
"""
READ = (
    HEAD
    + """
try:
    print(sorted(hdf5_process.read_tree_in_subprocess(Path(sys.argv[1])).arrays))
except (ModelError, RunError) as error:
    print(type(error).__name__, error)
"""
)
LIMIT = (
    HEAD
    + """
hdf5_process.limit_memory(100 << 20)
print(resource.getrlimit(resource.RLIMIT_AS)[0] >> 20)
"""
)


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["weights"] = [1.0, 2.0]
    return tmp_path / "a.h5"


def run(program, path, limit):
    environment = {**unmeasured(), "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, str(path), str(limit)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("users", "expected"), [("none", 2048 + 600), (1500, 1500), (9000, 2048 + 600)])
def test_the_lower_of_the_users_limit_and_that_for_the_file_holds(path, users, expected):
    assert run(LIMIT, path, users) == str(expected)


@pytest.mark.parametrize("limit", ["none", 1500])
def test_a_good_file_is_read_under_the_users_limit(path, limit):
    assert run(READ, path, limit) == "['weights']"


def test_too_little_memory_is_called_so_and_the_file_not_damaged(path):
    # With so little, the child process cannot even load its libraries.
    lower = "    resource.setrlimit(resource.RLIMIT_AS, (40 * 2**20, 40 * 2**20))\n"
    program = READ.replace("try:\n", f"try:\n{lower}")
    said = run(program, path, "none")
    assert said.startswith(
        f"RunError {path}: not enough memory to read it; this process is limited to 40 MiB"
    )
    assert "damaged" not in said


def test_too_little_memory_for_this_process_is_called_so_too(path):
    # A child that cannot be started: its arguments and pipes take memory here.
    lower = "    resource.setrlimit(resource.RLIMIT_AS, (40 * 2**20, 40 * 2**20))\n"
    fill = "    kept = []\n    try:\n        while True: kept.append(bytes(40000))\n"
    fill += "    except MemoryError: pass\n"
    said = run(READ.replace("try:\n", f"try:\n{lower}{fill}", 1), path, "none")
    assert said.startswith(f"RunError {path}: not enough memory to read it")
