"""Trying again: only what may pass by itself, with growing pauses, and for a limited time."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from frcnn.storage.faults import PassingFault

log = logging.getLogger(__name__)

Result = TypeVar("Result")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
# Pauses differ from thread to thread, so that not all come back at once; never the seeded generator.
_random = random.SystemRandom()


class Retries:
    """Tries again what failed by a `PassingFault`; a new success of any thread renews the patience of all.

    One for all requests of a transfer: while pieces come through on a bad link, it goes on.
    """

    def __init__(self, patience: float, stopped: threading.Event | None = None) -> None:
        """`patience` in seconds without any success; `stopped` ends the pauses at once."""
        self._patience = patience
        self._stopped = stopped or threading.Event()
        self._last_success = 0.0
        self._warned = False

    def __call__(self, action: Callable[[], Result]) -> Result:
        """What `action` returns.

        Raises:
            StoreError: It failed, and trying again is of no use or went on for too long.
        """
        began, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                result = action()
            except PassingFault as fault:
                left = max(began, self._last_success) + self._patience - time.monotonic()
                if left <= 0 or self._stopped.is_set():
                    raise fault.final(self._patience) from fault
                self._tell(fault)
                self._stopped.wait(min(pause * _random.uniform(0.5, 1.0), left))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._last_success, self._warned = time.monotonic(), False
                return result

    def _tell(self, fault: PassingFault) -> None:
        if not self._warned:
            self._warned = True
            log.warning("%s; trying again for %.0f s", fault, self._patience)
