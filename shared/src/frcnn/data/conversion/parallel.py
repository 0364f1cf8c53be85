"""One function over many chunks in several processes: results in order, memory bounded."""

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

# Chunks that wait for each worker: enough to keep it busy, few enough to keep memory small.
CHUNKS_AHEAD = 4


def default_workers() -> int:
    """One process for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(
    function: Callable[[Chunk], Result], chunks: Iterable[Chunk], workers: int
) -> Generator[Result, None, None]:
    """`function` of each chunk, in the order of the chunks.

    With one worker everything happens here and now. With more, `function` (picklable) runs in
    processes of their own, `CHUNKS_AHEAD` chunks for each are under way, and `chunks` is drawn from
    no faster than that. Close the iterator, or use it up, to end the processes.

    Raises:
        RunError: A process died, for want of memory for instance. Its own errors come as they are.
    """
    if workers <= 1:
        yield from map(function, chunks)
        return
    # Not fork: a fork of a process in which TensorFlow runs its threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_obey_the_parent)
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
            "a worker process was killed, most often for want of memory; try a smaller --workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _obey_the_parent() -> None:
    """Leaves Ctrl-C to the parent process, and ends with it, even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(number=signal.SIGKILL)
