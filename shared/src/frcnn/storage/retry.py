"""Retries transient errors, with growing pauses and for a limited time."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from frcnn.storage.faults import TransientError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
# Pauses are random, so that threads do not retry at once. The seeded generator must stay unaffected.
_random = random.SystemRandom()


class Retries:
    """Retry policy shared by all requests of a transfer.

    Each success, in any thread, restarts the time limit: a transfer continues while pieces get through on a
    bad connection.
    """

    def __init__(self, patience: float, stopped: threading.Event | None = None) -> None:
        """Creates a policy.

        Args:
            patience: Maximum time without any success, s.
            stopped: Event that ends pauses at once.
        """
        self._patience = patience
        self._stopped = stopped or threading.Event()
        self._last_success = 0.0
        self._warned = False

    def __call__(self, action: Callable[[], Result]) -> Result:
        """Calls a function until it succeeds.

        Args:
            action: Function that makes one request.

        Returns:
            Result of `action`.

        Raises:
            StoreError: The error is permanent, or the time limit is over.
        """
        began, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                result = action()
            except TransientError as fault:
                left = max(began, self._last_success) + self._patience - time.monotonic()
                if left <= 0 or self._stopped.is_set():
                    raise fault.final(self._patience) from fault
                self._warn(fault)
                self._stopped.wait(min(pause * _random.uniform(0.5, 1.0), left))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._last_success, self._warned = time.monotonic(), False
                return result

    def _warn(self, fault: TransientError) -> None:
        if not self._warned:
            self._warned = True
            log.warning("%s; retrying for %.0f s", fault, self._patience)
