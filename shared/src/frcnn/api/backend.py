"""Selects Keras's TensorFlow backend, the only one that this library supports."""

import os
import sys

from frcnn.errors import RunError

_VARIABLE, _BACKEND = "KERAS_BACKEND", "tensorflow"


def use_tensorflow() -> None:
    """Selects TensorFlow as Keras's backend; call it before Keras is imported.

    Raises:
        RunError: Another backend is selected.
    """
    chosen = os.environ.setdefault(_VARIABLE, _BACKEND)
    if "keras" in sys.modules:
        chosen = sys.modules["keras"].config.backend()
    if chosen != _BACKEND:
        raise RunError(
            f"Keras uses the backend {chosen} ({_VARIABLE}); expected {_BACKEND}. Set {_VARIABLE}={_BACKEND}."
        )
