"""Maps a function over chunks in several processes, with ordered results and bounded memory.

Each process has its own pipe. With the shared queues of `ProcessPoolExecutor`, a process that is killed while
it writes a result, such as for lack of memory, would leave the command waiting forever.
"""

import collections
import contextlib
import multiprocessing
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from frcnn.console.signals import end_with_parent
from frcnn.errors import RunError

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

# Chunks in flight per worker: enough to keep it busy, few enough to limit memory.
CHUNKS_AHEAD = 4
# Signals that a terminal or a batch system sends to all processes of a command. This process handles them.
_OF_GROUP = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_END = ()


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
    idle: queue.SimpleQueue[_Worker[Chunk, Result]] = queue.SimpleQueue()

    def apply(chunk: Chunk) -> Result:
        worker = idle.get()
        try:
            return worker.apply(chunk)
        finally:
            idle.put(worker)

    waiting: collections.deque[Future[Result]] = collections.deque()
    with contextlib.ExitStack() as stack:
        # Two chunks per worker, so that it has the next one when it finishes.
        threads = stack.enter_context(ThreadPoolExecutor(2 * workers))
        team = [stack.enter_context(_Worker(function)) for _ in range(workers)]
        for worker in (*team, *team):
            idle.put(worker)
        stack.callback(threads.shutdown, wait=False, cancel_futures=True)
        for chunk in chunks:
            waiting.append(threads.submit(apply, chunk))
            if len(waiting) >= workers * CHUNKS_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Worker(Generic[Chunk, Result]):
    """Process that applies a function to one chunk after the other."""

    def __init__(self, function: Callable[[Chunk], Result]) -> None:
        context = multiprocessing.get_context("spawn")  # forking with TensorFlow's threads may deadlock
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, function), daemon=True)
        with _without_signals():
            resource_tracker.ensure_running()  # some releases of Python unblock SIGINT at the end of this
        with _without_signals():
            self._process.start()
        theirs.close()  # so that the end of the process ends the connection
        self._sending, self._receiving = threading.Lock(), threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            with contextlib.suppress(OSError):
                self._connection.send(_END)
        else:
            self._process.kill()
        self._process.join()

    def apply(self, chunk: Chunk) -> Result:
        """Returns the result of a chunk. A second thread may call this meanwhile."""
        try:
            with self._sending:
                self._connection.send((chunk,))
                self._receiving.acquire()  # results arrive in the order of the chunks
            try:
                result, error = self._connection.recv()
            finally:
                self._receiving.release()
        except (EOFError, OSError) as broken:
            raise RunError(
                "A worker process was killed, probably because memory ran out. Run again with fewer workers."
            ) from broken
        if error is not None:
            raise error
        done: Result = result
        return done


def _serve(connection: "Connection[Any, Any]", function: Callable[[Any], object]) -> None:
    """Applies the function to the chunks that arrive, until the end or that of the parent process."""
    end_with_parent(number=signal.SIGKILL)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while message := connection.recv():
            result, fault = None, None
            try:
                result = function(*message)
            except Exception as error:
                error.add_note("".join(traceback.format_exception(error)))
                fault = error
            connection.send((result, fault))


@contextlib.contextmanager
def _without_signals() -> Iterator[None]:
    """Makes processes that start within the block ignore the signals of their group from the beginning."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_GROUP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
