"""Artifact store: folders and files on S3, or in folders of a volume (docs/storage.md)."""

from frcnn.storage.address import is_remote
from frcnn.storage.store import Store

__all__ = ["Store", "is_remote"]
