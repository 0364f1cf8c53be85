"""Counts how often TensorFlow traces a method; the Python body of a compiled function runs only then."""

import dataclasses
import functools
from typing import Any


@dataclasses.dataclass
class Calls:
    """Number of times that a method's Python body has run."""

    count: int = 0


def count_calls(owner: Any, method: str) -> Calls:
    """Starts counting the calls of a method. If the method is compiled, these are its traces.

    Args:
        owner: Object or class with the method.
        method: Name of the method.

    Returns:
        Counter, updated by each call.
    """
    calls = Calls()
    inner = getattr(owner, method)

    @functools.wraps(inner)
    def counting(*args: Any, **options: Any) -> Any:
        calls.count += 1
        return inner(*args, **options)

    # Bypass Keras' own __setattr__, which would track layers and variables in the value.
    setter = type.__setattr__ if isinstance(owner, type) else object.__setattr__
    setter(owner, method, counting)
    return calls
