"""The model in use: files and metrics at one place, replaced as a whole.

The place is `s3://bucket/prefix`, or a folder. A folder is a link to a version that lies beside it, so that
readers see the former version or the new one; the former one is kept.
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
    """The mAP of the model that is published at `place`; None if there is none.

    Raises:
        DataError: What is there is no published model.
        StoreError: S3 cannot be read; names the object, the reason and the remedy.
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
    """Makes the files in `folders` what is published at `place`.

    Raises:
        UsageError: `place` is a folder that was not published, or two folders hold the same name.
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
    """Whether `place` is on S3 and not a folder."""
    return place.startswith("s3://")


def _publish_folder(folders: Iterable[Path], place: Path) -> None:
    if place.exists() and not place.is_symlink():
        raise UsageError(f"{place}: is there and was not published by a pipeline; move it, or name another")
    versions = place.with_name(f".{place.name}.versions")
    # One publisher at a time: each removes what it takes for an old version.
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
                raise UsageError(f"{path}: another of the published folders holds a {path.name} too")
            copy = shutil.copytree if path.is_dir() else shutil.copyfile
            copy(path, target / path.name)


def _map_in(folder: Path, place: str) -> float:
    try:
        return float(read_json(folder / METRICS)["mAP"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{place}: holds no {METRICS} with a mAP, so it is no model that a pipeline published; "
            "name another place, or remove it"
        ) from error
