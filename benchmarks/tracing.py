"""Counts how often TensorFlow traced a graph: the Python of a compiled function runs only then."""

import dataclasses
import functools
from typing import Any


@dataclasses.dataclass
class Calls:
    """How often a method's Python body has run."""

    count: int = 0


def count_calls(owner: Any, method: str) -> Calls:
    """Counts the calls of an object's or class's method from now on: the traces, if graphs are made of it."""
    calls = Calls()
    inner = getattr(owner, method)

    @functools.wraps(inner)
    def counting(*args: Any, **options: Any) -> Any:
        calls.count += 1
        return inner(*args, **options)

    # Around Keras' own __setattr__, which would look for layers and variables in it.
    setter = type.__setattr__ if isinstance(owner, type) else object.__setattr__
    setter(owner, method, counting)
    return calls
