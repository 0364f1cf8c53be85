"""State that the requests of one transfer share."""

import dataclasses
import threading
from collections.abc import Callable, Iterable

from frcnn.storage import threads as workers
from frcnn.storage.backend import StorageBackend
from frcnn.storage.retry import Retries


@dataclasses.dataclass(frozen=True)
class Transfer:
    """State of one transfer.

    Attributes:
        backend: Storage backend.
        retries: Retry policy.
        threads: Number of parallel requests.
        stopped: Event that is set once a request has failed.
    """

    backend: StorageBackend
    retries: Retries
    threads: int
    stopped: threading.Event

    @classmethod
    def with_patience(cls, backend: StorageBackend, patience: float, threads: int) -> "Transfer":
        """Creates the state of a new transfer.

        Args:
            backend: Storage backend.
            patience: Maximum time to retry without any success, s.
            threads: Number of parallel requests.
        """
        stopped = threading.Event()
        return cls(backend, Retries(patience, stopped), threads, stopped)

    def run(self, tasks: Iterable[Callable[[], object]]) -> None:
        """Runs tasks in parallel up to the first error, which is raised.

        Args:
            tasks: Functions without arguments.
        """
        workers.run(tasks, self.threads, self.stopped)
