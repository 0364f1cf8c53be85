"""Maps a function over chunks in several processes, with ordered results and bounded memory."""

import collections
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from frcnn.console.signals import end_with_parent
from frcnn.errors import RunError

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

# Chunks in flight per worker: enough to keep it busy, few enough to limit memory.
CHUNKS_AHEAD = 4


def default_workers() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(
    function: Callable[[Chunk], Result], chunks: Iterable[Chunk], workers: int
) -> Generator[Result, None, None]:
    """Applies a function to chunks in parallel and yields the results in order.

    With one worker, everything runs in this process. With more, it runs in worker processes, with
    `CHUNKS_AHEAD` chunks per worker in flight. Exhaust or close the generator to end the processes.

    Args:
        function: Picklable function of one chunk.
        chunks: Chunks; consumed no faster than they are processed.
        workers: Number of processes.

    Yields:
        Result of each chunk.

    Raises:
        RunError: A worker process died, for example because it ran out of memory. Exceptions of `function`
            are raised unchanged.
    """
    if workers <= 1:
        yield from map(function, chunks)
        return
    # Forking a process with TensorFlow's threads may deadlock.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_exit_with_parent)
    waiting: collections.deque[Future[Result]] = collections.deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(function, chunk))
            if len(waiting) >= workers * CHUNKS_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RunError(
            "A worker process was killed, probably because memory ran out. Run again with fewer workers."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _exit_with_parent() -> None:
    """Ignores Ctrl-C in a worker and makes it exit when its parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(number=signal.SIGKILL)
