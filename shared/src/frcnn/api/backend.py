"""Keras has several backends; this library is written for one."""

import os
import sys

from frcnn.errors import RunError

_VARIABLE, _BACKEND = "KERAS_BACKEND", "tensorflow"


def use_tensorflow() -> None:
    """Chooses Keras's backend, before Keras is imported.

    Raises:
        RunError: Another backend was chosen.
    """
    chosen = os.environ.setdefault(_VARIABLE, _BACKEND)
    if "keras" in sys.modules:
        chosen = sys.modules["keras"].config.backend()
    if chosen != _BACKEND:
        raise RunError(f"Keras runs on {chosen} here ({_VARIABLE}); expected {_BACKEND}")
