"""Artifact store: folders and files on S3, or in folders of a volume (docs/storage.md)."""

from typing import TYPE_CHECKING

from frcnn.storage.address import is_remote

if TYPE_CHECKING:
    from frcnn.storage.store import Store

__all__ = ["Store", "is_remote"]


def __getattr__(name: str) -> object:
    """Imports the store on first use: most commands only check whether a location is an S3 URI."""
    if name != "Store":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from frcnn.storage.store import Store

    globals()[name] = Store
    return Store
