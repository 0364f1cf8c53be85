"""Writes files in the background while the training continues."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

log = logging.getLogger(__name__)


class BackgroundWriter:
    """Thread that runs one job at a time.

    An error of a job is raised by the next `check`, `wait` or `start`.
    """

    def __init__(self) -> None:
        """Creates the pool; the thread starts with the first job."""
        self._pool = ThreadPoolExecutor(1, "checkpoints")
        self._job: Future[None] | None = None

    def __enter__(self) -> Self:
        """Returns the object itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: Any) -> None:
        """Waits for the last job. Raises its error, or logs it if another error is being raised."""
        try:
            self.wait()
        except Exception as error:
            if kind is None:
                raise
            log.error("%s", error)
        finally:
            self._pool.shutdown()

    def check(self) -> None:
        """Raises the error of the last job if it has failed."""
        if self._job is not None and self._job.done():
            self.wait()

    def wait(self) -> None:
        """Waits for the last job and raises its error, if any."""
        job, self._job = self._job, None
        if job is not None:
            job.result()

    def start(self, work: Callable[[], None]) -> None:
        """Waits for the last job, then starts another one.

        Args:
            work: Job to run.

        Raises:
            Exception: The error of the last job; then `work` does not run.
        """
        self.wait()
        self._job = self._pool.submit(work)

    def then(self, work: Callable[[], None]) -> None:
        """Queues a job after the last one without waiting; it does not run if the last one fails.

        Args:
            work: Job to run.
        """
        before = self._job

        def follow() -> None:
            if before is not None:
                before.result()
            work()

        self._job = self._pool.submit(follow)
