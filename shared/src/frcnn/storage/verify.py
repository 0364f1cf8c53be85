"""Whether a folder here holds an artifact already."""

from pathlib import Path

from frcnn.errors import StoreError
from frcnn.paths import below
from frcnn.storage import download
from frcnn.storage.folder_backend import FolderKeeper
from frcnn.storage.manifest import Manifest, StoredFile
from frcnn.storage.packing import Source
from frcnn.storage.transfer_progress import Meter


def holds(folder: Path, manifest: Manifest) -> bool:
    """Whether the files in `folder` are those of the manifest, and no others."""
    here = {entry.name: entry.size for entry in FolderKeeper(folder).entries()}
    if here != {file.path: file.size for file in manifest.files}:
        return False
    files: dict[int, list[StoredFile]] = {}
    for file in manifest.files:
        files.setdefault(file.object, []).append(file)
    try:
        with Meter(f"comparing {folder.name}", manifest.size) as meter:
            for number, stored in enumerate(manifest.objects):
                parts = (
                    (below(folder, each.path, follow_links=True), each.size) for each in files.get(number, [])
                )
                source = Source(tuple(parts))
                download.verify(download.Reading(stored, str(folder), source.read), meter)
    except StoreError:
        return False
    return True
