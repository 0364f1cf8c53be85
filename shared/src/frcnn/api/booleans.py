"""Checks arguments that are either true or false."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from frcnn.errors import UsageError

_P = ParamSpec("_P")
_R = TypeVar("_R")


def checked_booleans(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorates a function so that its keyword arguments of type `bool` must be True or False.

    Python takes any value for one of the two: the text "no" would count as true.

    Args:
        function: Function with annotations.

    Returns:
        The function, which raises UsageError for other values.
    """
    parameters = inspect.signature(function).parameters.items()
    names = [name for name, parameter in parameters if parameter.annotation is bool]

    @functools.wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        for name in names:
            check_boolean(kwargs.get(name, False), name)
        return function(*args, **kwargs)

    return checked


def check_boolean(value: object, argument: str) -> None:
    """Checks that an argument is True or False, of Python or NumPy.

    Args:
        value: The argument.
        argument: Its name, for messages.

    Raises:
        UsageError: It is something else.
    """
    if type(value).__name__ not in ("bool", "bool_"):  # of NumPy, without importing it
        raise UsageError(f"{argument} {value!r}: expected True or False", argument=argument)
