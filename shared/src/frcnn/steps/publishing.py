"""Published model: files and metrics at one address, replaced atomically.

The address is `s3://bucket/prefix`, or a folder. A folder is a link to a version stored next to it, so that
readers see either the previous version or the new one. The previous version is kept.
"""

import shutil
import tempfile
import uuid
from collections.abc import Iterable
from pathlib import Path

from frcnn.errors import DataError, UsageError
from frcnn.files import atomic_path
from frcnn.limits import read_json
from frcnn.locks import exclusive

METRICS = "metrics.json"


def published_map(place: str) -> float | None:
    """Reads the mAP of the published model.

    Args:
        place: Address of the published model: S3 URI or folder.

    Returns:
        The mAP, 0 to 1; `None` if nothing is published.

    Raises:
        DataError: The address contains something other than a published model.
        StoreError: S3 cannot be read.
    """
    if not is_s3(place):
        return _map_in(Path(place), place) if Path(place).exists() else None
    from frcnn.storage import Store
    from frcnn.storage.faults import MissingError

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "published"
        try:
            Store.from_environment().fetch(place, copy)
        except MissingError:
            return None
        return _map_in(copy, place)


def publish(folders: Iterable[Path], place: str) -> None:
    """Publishes all files of several folders at one address.

    Args:
        folders: Folders with the files to publish.
        place: Address of the published model: S3 URI or folder.

    Raises:
        UsageError: `place` is a folder that was not published, or two folders contain the same name.
        StoreError: S3 cannot be written.
    """
    with tempfile.TemporaryDirectory() as temporary:
        if is_s3(place):
            from frcnn.storage import Store

            together = Path(temporary) / "published"
            _gather(folders, together)
            Store.from_environment().publish(together, place)
        else:
            _publish_folder(folders, Path(place).absolute())


def is_s3(place: str) -> bool:
    """Checks whether an address is on S3 rather than a folder.

    Args:
        place: S3 URI or folder.
    """
    return place.startswith("s3://")


def _publish_folder(folders: Iterable[Path], place: Path) -> None:
    if place.exists() and not place.is_symlink():
        raise UsageError(f"{place} exists and was not published by a pipeline. Move it or use another one.")
    versions = place.with_name(f".{place.name}.versions")
    # One publisher at a time, since each removes all versions but the previous one and its own.
    with exclusive(place.with_name(f".{place.name}.lock")):
        _replace(folders, place, versions)


def _replace(folders: Iterable[Path], place: Path, versions: Path) -> None:
    former = place.readlink().name if place.is_symlink() else ""
    name = uuid.uuid4().hex[:12]
    with atomic_path(versions / name) as temporary:
        _gather(folders, temporary)
    with atomic_path(place) as temporary:
        temporary.symlink_to(Path(versions.name) / name)
    for version in versions.iterdir():
        if version.name not in (name, former):
            shutil.rmtree(version)


def _gather(folders: Iterable[Path], target: Path) -> None:
    target.mkdir()
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if (target / path.name).exists():
                raise UsageError(f"{path}: another published folder also contains {path.name}. Rename one.")
            copy = shutil.copytree if path.is_dir() else shutil.copyfile
            copy(path, target / path.name)


def _map_in(folder: Path, place: str) -> float:
    try:
        return float(read_json(folder / METRICS)["mAP"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{place} contains no {METRICS} with a mAP, so it is not a model published by a pipeline. "
            "Choose another address, or remove it."
        ) from error
