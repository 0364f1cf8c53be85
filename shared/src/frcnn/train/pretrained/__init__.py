"""Weights from elsewhere, layer by layer: `load_pretrained` is the door.

It is imported when it is asked for, so that the process that reads HDF5 (`apart`) starts without Keras.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frcnn.train.pretrained.load import load_pretrained


def __getattr__(name: str) -> Any:
    """`load_pretrained`."""
    if name == "load_pretrained":
        from frcnn.train.pretrained.load import load_pretrained

        return load_pretrained
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["load_pretrained"]
