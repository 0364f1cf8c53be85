"""The artifact store: folders and files on S3, or in folders of a volume (docs/storage.md)."""

from frcnn.runtime.storage.address import is_remote
from frcnn.runtime.storage.store import Store

__all__ = ["Store", "is_remote"]
