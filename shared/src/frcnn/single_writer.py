"""Lock for one writer per folder: a file that names its holder, released when the holder ends.

The lock is `flock` on a hidden file in the folder itself, so processes on other machines with the same volume
see it too. After a holder is killed, its file is not locked, and the next writer takes it over.
"""

import contextlib
import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from frcnn.errors import RunError
from frcnn.locks import has_no_locks, try_lock

log = logging.getLogger(__name__)

# Tells the ranks of a training that the process which started them holds these locks for all of them.
HELD_VARIABLE = "FRCNN_PLACES_HELD"
_MAX_HOLDER_BYTES = 300

# A context variable, since another thread counts as another writer.
_held: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())


class PlaceBusyError(RunError):
    """Another run writes to the same folder or files (exit code 1)."""


@contextlib.contextmanager
def only_writer_in(folder: Path, task: str = "") -> Iterator[None]:
    """Holds the lock of a folder while the block runs.

    Args:
        folder: Folder to write to; created if missing.
        task: Name of the task. Tasks of different names may write to a folder at the same time.

    Raises:
        PlaceBusyError: Another run holds the lock; the message names process and host.
    """
    with _holding(folder / f".frcnn{f'.{task}' if task else ''}.lock", str(folder)):
        yield


@contextlib.contextmanager
def only_writer_of(prefix: Path) -> Iterator[None]:
    """Holds the lock of all files with a common prefix while the block runs.

    Args:
        prefix: Path whose name is the common prefix of the files.

    Raises:
        PlaceBusyError: Another run holds the lock.
    """
    with _holding(prefix.with_name(f".frcnn.{prefix.name}.lock"), f"{prefix}*"):
        yield


def held_by_parent() -> Mapping[str, str]:
    """Returns environment variables that let a child process write where this process holds locks."""
    # JSON, because a path may contain any separator.
    return {HELD_VARIABLE: json.dumps(sorted(_held.get()))}


@contextlib.contextmanager
def _holding(path: Path, shown: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    name = str(path.parent.resolve() / path.name)
    if name in _held.get() or name in _held_for_us():
        yield
        return
    handle = _lock(path, shown)
    token = _held.set(_held.get() | {name})
    owner = os.getpid()
    try:
        yield
    finally:
        _held.reset(token)
        if handle is not None and os.getpid() == owner:
            # Removed while still locked, so that no other process's lock file is removed.
            path.unlink(missing_ok=True)
            handle.close()


def _held_for_us() -> list[str]:
    """Reads which locks the process that started this one holds for it."""
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(os.environ.get(HELD_VARIABLE) or "[]")
        return found if isinstance(found, list) else []
    return []


def _lock(path: Path, shown: str) -> BinaryIO | None:
    try:
        handle = try_lock(path)
    except OSError as error:
        if not has_no_locks(error):
            error.filename = shown  # not the hidden lock file
            raise
        log.warning("%s: no locks on this file system (%s); let only one run write there", shown, error)
        return None
    if handle is None:
        raise PlaceBusyError(
            f"{shown}: {_holder(path)} is writing there. Wait until it has ended, or choose another folder."
        )
    # On a full disk, the lock works without the holder's name. The buffer of `handle` is not used: it would
    # write again when it is closed, and so replace the error that ended the run.
    with contextlib.suppress(OSError):
        os.ftruncate(handle.fileno(), 0)
        os.write(handle.fileno(), f"{os.getpid()} {socket.gethostname()}\n".encode())
    return handle


def _holder(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            pid, host = handle.read(_MAX_HOLDER_BYTES).decode("utf-8", "replace").split()
    except (OSError, ValueError):
        return "another run"
    return f"another run (process {pid} on {host})" if host.isprintable() else "another run"
