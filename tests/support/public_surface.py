"""The public names of the package with their signatures, as text.

`python -m tests.support.public_surface` writes what the test compares with.
"""

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import frcnn
import frcnn.errors

_ARRAY = re.compile(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+)\]\]")
_MODULES = re.compile(r"\b(?:\w+\.)+(?=[A-Za-z_])")
KEPT = Path(__file__).parents[1] / "api/public.txt"


def surface() -> str:
    """A line for each public name, parameter list, field and method, sorted."""
    lines = [line for name in sorted(frcnn.__all__) for line in _lines(f"frcnn.{name}", getattr(frcnn, name))]
    for name, value in sorted(vars(frcnn.errors).items()):
        if inspect.isclass(value) and value.__module__ == "frcnn.errors":
            lines += _lines(f"frcnn.errors.{name}", value)
    return "".join(f"{line}\n" for line in lines)


def _lines(name: str, value: object) -> Iterator[str]:
    if inspect.ismodule(value):
        yield f"{name}: module"
    elif inspect.isclass(value):
        yield f"{name}: class({', '.join(base.__name__ for base in value.__bases__)})"
        yield from (f"{name}.{line}" for line in _members(value))
    elif callable(value):
        yield f"{name}{_signature(value)}"
    else:
        yield f"{name}: {_text(str(value))}"


def _members(cls: type) -> Iterator[str]:
    if typing.is_typeddict(cls):
        yield from (f"{name}: {_text(kind)}" for name, kind in typing.get_type_hints(cls).items())
    if dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            yield f"{field.name}: {_text(field.type)}"
    for name, value in sorted(vars(cls).items()):
        if name.startswith("_") and name not in ("__getitem__", "__iter__", "__len__", "__enter__"):
            continue
        inner = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if isinstance(value, property):
            yield f"{name} -> {_text(inspect.get_annotations(value.fget)['return'])}"
        elif inspect.isfunction(inner):
            yield f"{name}{_signature(inner)}"


def _signature(function: object) -> str:
    signature = inspect.signature(function)
    parameters = [
        each.replace(annotation=_Text(_text(each.annotation))) if each.annotation is not each.empty else each
        for each in signature.parameters.values()
    ]
    returns = signature.return_annotation
    text = _Text(_text(returns)) if returns is not signature.empty else returns
    return str(signature.replace(parameters=parameters, return_annotation=text))


class _Text:
    """Prints as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _text(annotation: object) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return _ARRAY.sub(r"NDArray[\1]", _MODULES.sub("", text))


if __name__ == "__main__":
    KEPT.write_text(surface(), encoding="utf-8")
