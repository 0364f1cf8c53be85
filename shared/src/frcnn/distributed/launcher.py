"""Starts the ranks of a training on this machine, watches them, and ends all of them if one fails.

Over Gloo the ranks are child processes. `horovodrun` is not used: it would write their environment,
including the key of model files, to command lines that every user of the machine can read, and it would
disconnect rank 0 from the terminal. If Horovod was built without Gloo, `mpirun` starts the ranks.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import frcnn
from frcnn.console import step_process
from frcnn.distributed.rank_outcome import FOLDER_VARIABLE, Outcome, outcomes_in
from frcnn.distributed.world import MISSING
from frcnn.errors import RunError
from frcnn.single_writer import held_by_parent

GRACE = 15.0  # seconds for ranks to end by themselves, after a failure and again after SIGTERM
POLL = 0.1  # seconds
MPIRUN = -1  # represents all ranks if mpirun watches them
PROBE = "import horovod.tensorflow as hvd; print(int(hvd.gloo_built()), int(hvd.mpi_built()))"


class RankFailedError(RunError):
    """A rank failed. Ends the command with the exit code of that rank."""

    def __init__(self, message: str, code: int) -> None:
        """Creates the error.

        Args:
            message: Message for the user.
            code: Exit code.
        """
        super().__init__(message)
        self.exit_code = code


def launch(
    command: Sequence[str | os.PathLike[str]], processes: int, environment: Mapping[str, str] | None = None
) -> Outcome:
    """Runs a command in several ranks that Horovod can join.

    Rank 0 has the standard output and error of this process. Output of other ranks goes to standard error,
    each line prefixed with the rank. An exception raised here, for example by a signal, ends all ranks.

    Args:
        command: Program and arguments, the same for all ranks. They must not contain secrets.
        processes: Number of ranks.
        environment: Variables to add to those of this process; may contain secrets.

    Returns:
        Outcome of rank 0.

    Raises:
        RankFailedError: A rank failed.
        RunError: Horovod is missing or cannot be started.
    """
    if importlib.util.find_spec("horovod") is None:
        raise RunError(MISSING)
    with tempfile.TemporaryDirectory(prefix="frcnn-ranks-") as folder, contextlib.ExitStack() as stack:
        shared = _environment(Path(folder), environment or {})
        if _controller(shared) == "gloo":
            ranks = stack.enter_context(_gloo_ranks(command, processes, shared))
        else:
            ranks = stack.enter_context(_mpi_ranks(command, processes, shared))
        codes = _watch(ranks)
        outcomes = outcomes_in(Path(folder))
        if any(codes.values()):
            raise _failure(codes, outcomes, processes)
        return outcomes.get(0, Outcome(0, 0))


def _environment(folder: Path, extra: Mapping[str, str]) -> dict[str, str]:
    package = str(Path(frcnn.__file__).resolve().parents[1])
    path = [package, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        FOLDER_VARIABLE: str(folder),
        # On a busy machine ranks may start minutes apart.
        "HOROVOD_GLOO_TIMEOUT_SECONDS": os.environ.get("HOROVOD_GLOO_TIMEOUT_SECONDS", "300"),
        **held_by_parent(),
        **extra,
    }


def _controller(environment: Mapping[str, str]) -> str:
    """Returns `gloo` or `mpi`, depending on how Horovod was built; `gloo` if both are available."""
    # Checked in a separate process, because it needs TensorFlow, which this process does not load.
    answer = subprocess.run(
        [sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise RunError(
            f"Horovod does not load: {answer.stderr.strip().splitlines()[-1]}; run `make horovod` again"
        )
    gloo, mpi = (word == "1" for word in answer.stdout.split()[-2:])
    if gloo:
        return "gloo"
    if mpi and shutil.which("mpirun"):
        return "mpi"
    raise RunError("Horovod was built without gloo, and there is no mpirun: run `make horovod` again")


@contextlib.contextmanager
def _gloo_ranks(
    command: Sequence[str | os.PathLike[str]], processes: int, shared: Mapping[str, str]
) -> Iterator[dict[int, subprocess.Popen[bytes]]]:
    """Starts the ranks in separate sessions, so that Ctrl-C reaches them only through `_end`."""
    ranks: dict[int, subprocess.Popen[bytes]] = {}
    readers: list[threading.Thread] = []
    with _rendezvous(processes) as port:
        try:
            for rank in range(processes):
                environment = {**shared, **_gloo_variables(rank, processes, port)}
                ranks[rank] = subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if rank else None,
                    stderr=subprocess.STDOUT if rank else None,
                    start_new_session=True,
                )
                if (stream := ranks[rank].stdout) is not None:
                    readers.append(threading.Thread(target=_forward, args=(stream, rank), daemon=True))
                    readers[-1].start()
            yield ranks
        finally:
            _end(ranks)
            for reader in readers:
                reader.join(GRACE)  # returns at once unless a grandchild keeps the pipe open


@contextlib.contextmanager
def _mpi_ranks(
    command: Sequence[str | os.PathLike[str]], processes: int, shared: Mapping[str, str]
) -> Iterator[dict[int, subprocess.Popen[bytes]]]:
    """Starts one mpirun, which passes its environment on without writing it anywhere."""
    mpirun = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-bind-to", "none", "-map-by", "slot"]
    mpirun += ["-mca", "pml", "ob1", "-mca", "btl", "^openib", "-np", str(processes)]
    # Through a process that ends with this one: mpirun itself would continue.
    wrapper = [sys.executable, "-P", "-m", step_process.MODULE, mpirun[0]]
    process = subprocess.Popen(wrapper, env=shared, stdin=subprocess.PIPE, start_new_session=True)
    ranks = {MPIRUN: process}
    try:
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), process.stdin:
                words = [str(word) for word in command]
                process.stdin.write(step_process.encode([*mpirun, *words], os.getpid()))
        yield ranks
    finally:
        _end(ranks)


@contextlib.contextmanager
def _rendezvous(processes: int) -> Iterator[int]:
    """Serves the port where ranks find each other, reachable from this machine only."""
    from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
    from horovod.runner.http.http_server import RendezvousHandler, RendezvousHTTPServer

    server = RendezvousHTTPServer(("127.0.0.1", 0), RendezvousHandler, 0)
    server.init(get_host_assignments(parse_hosts(f"localhost:{processes}"), processes))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _gloo_variables(rank: int, size: int, port: int) -> dict[str, str]:
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")
    return {
        "HOROVOD_HOSTNAME": "localhost",
        "HOROVOD_RANK": str(rank),
        "HOROVOD_SIZE": str(size),
        "HOROVOD_LOCAL_RANK": str(rank),
        "HOROVOD_LOCAL_SIZE": str(size),
        "HOROVOD_CROSS_RANK": "0",
        "HOROVOD_CROSS_SIZE": "1",
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
        "HOROVOD_GLOO_IFACE": loopback,
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": "127.0.0.1",
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port),
    }


def _forward(stream: IO[bytes], rank: int) -> None:
    with stream:
        for line in stream:
            with contextlib.suppress(BrokenPipeError):
                sys.stderr.write(f"[rank {rank}] {line.decode(errors='replace')}")
                sys.stderr.flush()


def _watch(ranks: Mapping[int, subprocess.Popen[bytes]]) -> dict[int, int]:
    """Returns the exit codes in the order the ranks ended; stops waiting some time after a failure."""
    codes: dict[int, int] = {}
    deadline = float("inf")
    while len(codes) < len(ranks) and time.monotonic() < deadline:
        for rank, process in ranks.items():
            code = process.poll()
            if code is None or rank in codes:
                continue
            codes[rank] = code
            if code:
                deadline = min(deadline, time.monotonic() + GRACE)
        time.sleep(POLL)
    return codes


def _end(ranks: Mapping[int, subprocess.Popen[bytes]]) -> None:
    """Sends SIGTERM to all running ranks, and SIGKILL to those that do not end in time."""
    running = [process for process in ranks.values() if process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    for process in running:
        try:
            process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _failure(codes: Mapping[int, int], outcomes: Mapping[int, Outcome], processes: int) -> RankFailedError:
    """Returns the error of the rank that failed first by itself, rather than because others failed."""
    own = [rank for rank, each in outcomes.items() if each.code and not each.secondary]
    silent = [rank for rank, code in codes.items() if code and rank not in outcomes]
    rank = (own + silent + [rank for rank, code in codes.items() if code])[0]
    name = "mpirun" if rank == MPIRUN else f"rank {rank} of {processes}"
    if rank in outcomes:
        return RankFailedError(f"{name}: {outcomes[rank].message}", outcomes[rank].code or 1)
    return RankFailedError(f"{name} {_ending(codes[rank])}", 1)


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL), most often because it ran out of memory. Lower the batch size."
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}; see its output above"
    return f"ended with exit code {code}; see its output above"
