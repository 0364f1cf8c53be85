"""What the requests of one transfer share."""

import dataclasses
import threading
from collections.abc import Callable, Iterable

from frcnn.storage import threads as workers
from frcnn.storage.backend import Keeper
from frcnn.storage.retry import Retries


@dataclasses.dataclass(frozen=True)
class Transfer:
    """The keeper, how long its requests are tried, how many at a time, and whether one has failed."""

    keeper: Keeper
    retries: Retries
    threads: int
    stopped: threading.Event

    @classmethod
    def with_patience(cls, keeper: Keeper, patience: float, threads: int) -> "Transfer":
        """`patience` in seconds without any success."""
        stopped = threading.Event()
        return cls(keeper, Retries(patience, stopped), threads, stopped)

    def run(self, tasks: Iterable[Callable[[], object]]) -> None:
        """All of them, or up to the first that fails; its error is raised."""
        workers.run(tasks, self.threads, self.stopped)
