"""One writer per place: who is refused, what the message names, and that a lock dies with its holder."""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading

import pytest

from frcnn.single_writer import (
    HELD_VARIABLE,
    PlaceBusyError,
    held_by_parent,
    only_writer_in,
    only_writer_of,
)
from tests.support.unmeasured import unmeasured

HOLD = """if True:
    import sys
    from pathlib import Path
    from frcnn.single_writer import only_writer_in
    with only_writer_in(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds `tmp_path/results`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "results")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=unmeasured(),
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_the_second_writer_is_refused_in_a_sentence_that_names_place_process_and_host(tmp_path, holder):
    folder = tmp_path / "results"
    expected = f"{folder}: another run (process {holder.pid} on {socket.gethostname()}) is writing there"
    with pytest.raises(PlaceBusyError, match=re.escape(expected)), only_writer_in(folder):
        pass
    with only_writer_in(tmp_path / "other"), only_writer_in(folder, "another task"):
        pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_dies_with_its_holder(tmp_path, holder, number):
    holder.send_signal(number)
    holder.wait()
    with only_writer_in(tmp_path / "results"):
        pass
    assert list((tmp_path / "results").iterdir()) == []


def test_a_writer_within_a_writer_is_the_same_one_but_not_in_another_thread(tmp_path):
    refused = []

    def other_thread():
        try:
            with only_writer_in(tmp_path):
                pass
        except PlaceBusyError as error:
            refused.append(str(error))

    with only_writer_in(tmp_path):
        with only_writer_in(tmp_path):
            pass
        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
    assert len(refused) == 1 and str(os.getpid()) in refused[0]


@pytest.mark.parametrize("name", ["results", "run:1", 'a "b"\n', os.fsdecode(b"caf\xe9")])
def test_a_child_that_is_told_so_is_the_same_writer(tmp_path, name):
    code, folder = HOLD.replace("sys.stdin.read()", "pass"), tmp_path / name
    with only_writer_in(folder):
        command = [sys.executable, "-c", code, str(folder)]
        alone = subprocess.run(command, capture_output=True, text=True, check=False)
        told = subprocess.run(
            command, env={**os.environ, **held_by_parent()}, capture_output=True, check=False
        )
    assert alone.returncode == 1 and "PlaceBusyError" in alone.stderr
    assert told.returncode == 0
    assert HELD_VARIABLE in held_by_parent()


@pytest.mark.parametrize("value", ["", "{}", "[", "[" * 100000, "null", "/a:/b"])
def test_a_variable_that_is_no_list_of_places_lets_nobody_write_where_another_does(
    tmp_path, holder, monkeypatch, value
):
    monkeypatch.setenv(HELD_VARIABLE, value)
    with pytest.raises(PlaceBusyError), only_writer_in(tmp_path / "results"):
        pass


def test_prefixes_in_one_folder_are_places_of_their_own(tmp_path):
    with only_writer_of(tmp_path / "train"):
        with only_writer_of(tmp_path / "val"):
            pass
        lock = tmp_path / ".frcnn.train.lock"
        assert lock.read_text().split() == [str(os.getpid()), socket.gethostname()]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_killed_holder_left_is_no_obstacle(tmp_path):
    (tmp_path / ".frcnn.lock").write_text("12345 elsewhere\n")
    with only_writer_in(tmp_path):
        assert (tmp_path / ".frcnn.lock").read_text().startswith(f"{os.getpid()} ")


def test_on_a_full_disk_the_lock_holds_and_the_error_of_the_run_is_the_one_that_is_raised(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(ValueError, match="of the run"), only_writer_in(tmp_path / "results"):
            raise ValueError("of the run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "results").iterdir()) == []
