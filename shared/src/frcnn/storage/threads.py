"""Runs tasks in parallel until all are done or one fails."""

import concurrent.futures
import threading
from collections.abc import Callable, Iterable


def run(tasks: Iterable[Callable[[], object]], threads: int, stopped: threading.Event) -> None:
    """Runs tasks in a thread pool.

    Tasks are taken from the iterable as needed. After the first error, no other task starts.

    Args:
        tasks: Functions without arguments.
        threads: Number of threads.
        stopped: Event that is set after an error, for tasks that are waiting.

    Raises:
        Exception: The first error of a task.
    """
    pending: set[concurrent.futures.Future[object]] = set()
    with concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="store") as pool:
        try:
            for task in tasks:
                if len(pending) >= 2 * threads:
                    done, pending = concurrent.futures.wait(
                        pending, return_when=concurrent.futures.FIRST_COMPLETED
                    )
                    for each in done:
                        each.result()
                pending.add(pool.submit(task))
            for each in concurrent.futures.as_completed(pending):
                each.result()
        except BaseException:
            stopped.set()
            for each in pending:
                each.cancel()
            raise
