"""Kills a job before each system call of its that changes a file, one after the other.

A server process imports what the job needs, and forks for every attempt, so that thousands of them are cheap.
`kill_points.c` counts the calls, and kills.
"""

import contextlib
import importlib
import inspect
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CDLL, c_long
from pathlib import Path

import pytest

from tests.support.unmeasured import unmeasured

SOURCE = Path(__file__).with_suffix(".c")
ROOT = Path(__file__).parents[2]
# What a pipe holds without a reader.
_PIPE_BYTES = 65_536


class KillServer:
    """Runs a job in forks of one process."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log

    def run(self, folder: Path, kill_at: int = 0) -> int:
        """Runs the job in a folder; returns its exit code, negative for a signal.

        Args:
            folder: Argument of the job; calls that change files below it count.
            kill_at: Number of the call before which it is killed, from 1; 0 for none.
        """
        assert self._process.stdin and self._process.stdout
        self._log.unlink(missing_ok=True)
        self._process.stdin.write(f"{kill_at} {folder}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def calls(self) -> list[str]:
        """Returns the calls of the last run, `rename /folder/name` and the like."""
        return self._log.read_text().splitlines() if self._log.exists() else []


@contextmanager
def kill_server(job: Callable[[Path], None], folder: Path) -> Iterator[KillServer]:
    """Starts a server.

    Args:
        job: A function of a module below tests/; gets a folder, and returns when all files in it are written.
        folder: Empty folder for the server's own files.
    """
    library = build(folder)
    module = ".".join(Path(inspect.getfile(job)).relative_to(ROOT).with_suffix("").parts)
    log = folder / "calls.txt"
    path = os.pathsep.join([str(ROOT / "shared" / "src"), str(ROOT)])
    # coverage would slow the forks down, and they end without leaving data of it.
    environment = {**unmeasured(), "LD_PRELOAD": str(library), "KILL_LOG": str(log), "PYTHONPATH": path}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.kill_points", f"{module}:{job.__name__}", str(library)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdin
        yield KillServer(process, log)
        process.stdin.close()


def build(folder: Path) -> Path:
    """Compiles the library that kills; skips the test where that cannot be done."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    library = folder / "kill_points.so"
    words = ["-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run([compiler, *words], check=True)
    return library


def each_kill(
    server: KillServer,
    prepared: Path,
    work: Path,
    check: Callable[[Path], None],
    *,
    equal: Callable[[Path], object],
    before: Callable[[Path], None] = lambda folder: None,
    varying: bool = False,
    points: Callable[[list[str]], list[int]] = lambda calls: list(range(1, len(calls) + 1)),
) -> int:
    """Kills a job at every point, checks what is left, runs it again, and compares with a run not killed.

    Args:
        server: Runs the job.
        prepared: Folder as it is before the job, which is copied for each attempt.
        work: Path for the copy.
        check: Raises AssertionError about what a killed job left.
        equal: Describes the folder after the job; the same after a killed and a second run.
        before: Prepares what is not in the folder, such as a server, for each attempt; gets the copy.
        varying: Whether the number of calls differs from run to run, as with requests in threads.
        points: Picks the numbers of calls, from 1, out of the list of calls.

    Returns:
        How many points were tried.
    """
    copy_to(prepared, work)
    before(work)
    assert server.run(work) == 0
    calls, expected = server.calls(), equal(work)
    chosen = points(calls)
    assert chosen
    for number in chosen:
        copy_to(prepared, work)
        before(work)
        code = server.run(work, number)
        if code == 0 and varying:  # this time there were fewer calls
            return number - chosen[0]
        assert code == -signal.SIGKILL, f"call {number} of {len(calls)}: not killed"
        what = f"killed before call {number} of {len(calls)}: {calls[number - 1]}"
        try:
            check(work)
            assert server.run(work) == 0
            assert equal(work) == expected
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error
    return len(chosen)


def copy_to(source: Path, target: Path) -> None:
    """Replaces a folder by a copy of another one."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)


def all_files(folder: Path) -> dict[str, bytes]:
    """Returns the contents of all files below a folder, hidden ones too, by relative name."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"a folder"
        for path in sorted(folder.rglob("*"))
    }


def _serve(job: str, library: str) -> None:
    module, _, function = job.partition(":")
    run = getattr(importlib.import_module(module), function)
    arm = CDLL(library).kill_points_arm
    arm.argtypes = [c_long]
    for line in sys.stdin:
        number, _, folder = line.rstrip("\n").partition(" ")
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            code = 1
            try:
                os.environ["KILL_BELOW"] = folder
                before = set(sys.modules)
                arm(int(number))
                run(Path(folder))
                arm(-1)
                os.write(writer, "\n".join(set(sys.modules) - before).encode()[:_PIPE_BYTES])
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(writer)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reader, encoding="utf-8") as imported:
            _import(imported.read().split("\n"))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _import(modules: list[str]) -> None:
    """Imports what the job imported while it ran, so that later forks have it already."""
    for name in modules:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
