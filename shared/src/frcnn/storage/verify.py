"""Compares a local folder with a manifest."""

from pathlib import Path

from frcnn.errors import StoreError
from frcnn.paths import below
from frcnn.storage import object_reading
from frcnn.storage.folder_backend import FolderBackend
from frcnn.storage.manifest import Manifest, StoredFile
from frcnn.storage.packing import Source
from frcnn.storage.transfer_progress import TransferProgress


def matches_manifest(folder: Path, manifest: Manifest) -> bool:
    """Checks whether a local folder matches a manifest exactly.

    Args:
        folder: Local folder.
        manifest: Manifest of the artifact.

    Returns:
        `True` if names, sizes and checksums match and there are no other files.
    """
    here = {entry.name: entry.size for entry in FolderBackend(folder).entries()}
    if here != {file.path: file.size for file in manifest.files}:
        return False
    files: dict[int, list[StoredFile]] = {}
    for file in manifest.files:
        files.setdefault(file.object, []).append(file)
    try:
        with TransferProgress(f"comparing {folder.name}", manifest.size) as progress:
            for number, stored in enumerate(manifest.objects):
                parts = (
                    (below(folder, each.path, follow_links=True), each.size) for each in files.get(number, [])
                )
                source = Source(tuple(parts))
                object_reading.verify(object_reading.Reading(stored, str(folder), source.read), progress)
    except StoreError:
        return False
    return True
