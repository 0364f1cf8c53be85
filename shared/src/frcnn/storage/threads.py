"""Several things at once, until all are done or one fails."""

import concurrent.futures
import threading
from collections.abc import Callable, Iterable


def run(tasks: Iterable[Callable[[], object]], threads: int, stopped: threading.Event) -> None:
    """Runs the tasks, so many at a time, taken from the iterable as they are needed.

    The first error ends it and is raised; `stopped` is set, for tasks that wait, and no other task begins.
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
