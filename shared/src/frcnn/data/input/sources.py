"""Finds the record files of a spec for training and validation."""

import dataclasses
import glob
import os
from pathlib import Path

from frcnn.data.records.files import RecordFile, matching
from frcnn.data.settings import DataSettings, SourceSettings
from frcnn.errors import DataError
from frcnn.storage import is_remote

# Other files next to records that match the same patterns, such as the converter's issue list.
NOT_RECORDS = (".json", ".txt", ".md")


@dataclasses.dataclass(frozen=True)
class RecordSource:
    """Record files of one data source and the location of its images.

    Attributes:
        records_field: Field of the spec, or flag, that names the record files, for messages.
        files: TFRecord files, local or on S3, sorted by name.
        images: Folder that `frame/id` is relative to; may be missing if images are embedded.
        weight: Sampling weight relative to the number of images; 1 if unset.
    """

    records_field: str
    files: tuple[RecordFile, ...]
    images: Path
    weight: float


def training_sources(data: DataSettings) -> tuple[RecordSource, ...]:
    """Finds the training sources: all files, or those outside the validation fold.

    Args:
        data: Settings of the data.

    Returns:
        Sources that have files.

    Raises:
        DataError: A pattern matches no file, or every file belongs to the validation fold.
        StoreError: S3 is unreachable.
    """
    if not data.sources:
        raise DataError("dataset_config.data_sources: none given; expected at least one set to train on")
    sources = tuple(map(_find, data.sources))
    if data.validation_fold is None:
        return sources
    mark = fold_mark(data.validation_fold)
    kept = tuple(_keep(source, mark, inside=False) for source in sources)
    if not any(source.files for source in kept):
        raise DataError(
            f"dataset_config.validation_fold: every record file belongs to fold {data.validation_fold} "
            f"('{mark}'), which leaves no training images; choose another fold or use more partitions"
        )
    return tuple(source for source in kept if source.files)


def validation_sources(data: DataSettings) -> tuple[RecordSource, ...]:
    """Finds the validation sources: the data source or the files of the fold for validation.

    Args:
        data: Settings of the data.

    Returns:
        Sources that have files.

    Raises:
        DataError: Neither is set, a pattern matches no file, or no file belongs to the fold.
        StoreError: S3 is unreachable.
    """
    if data.validation_source is not None:
        return (_find(data.validation_source),)
    if data.validation_fold is None:
        raise DataError(
            "dataset_config: no validation images. Set validation_fold (the number of a converted fold) "
            "or validation_data_source."
        )
    mark = fold_mark(data.validation_fold)
    found = [_keep(_find(source), mark, inside=True) for source in data.sources]
    if not any(source.files for source in found):
        raise DataError(
            f"dataset_config.validation_fold: no record file has '{mark}' in its name, so fold "
            f"{data.validation_fold} has no images; convert with partitions or choose an existing fold"
        )
    return tuple(source for source in found if source.files)


def files_in_both(data: DataSettings) -> list[RecordFile]:
    """Finds the record files of the validation source that are also used for training.

    Args:
        data: Settings of the data.

    Raises:
        DataError: See `training_sources` and `validation_sources`.
        StoreError: S3 is unreachable.
    """
    if data.validation_source is None:
        return []
    used = {_identity(file) for source in training_sources(data) for file in source.files}
    return [file for file in _find(data.validation_source).files if _identity(file) in used]


def _identity(file: RecordFile) -> str:
    return str(file.resolve() if isinstance(file, Path) else file)


def fold_mark(fold: int) -> str:
    """Returns the part of a record file's name that identifies its fold."""
    return f"fold-{fold:03d}-of-"


def _keep(source: RecordSource, mark: str, *, inside: bool) -> RecordSource:
    files = tuple(path for path in source.files if (mark in path.name) == inside)
    return dataclasses.replace(source, files=files)


def _find(source: SourceSettings) -> RecordSource:
    images = Path(_absolute(source.image_directory_path))
    files = _remote(source) if is_remote(source.tfrecords_path) else _local(source)
    return RecordSource(source.records_field, files, images, source.weight)


def _remote(source: SourceSettings) -> tuple[RecordFile, ...]:
    pattern = source.tfrecords_path
    files = tuple(file for file in matching(pattern) if not file.name.lower().endswith(NOT_RECORDS))
    if not files:
        raise DataError(
            f"{source.records_field}: '{pattern}' matches no file; check the URI with frcnn store ls, "
            "or run dataset_convert with embed_images and frcnn store push first"
        )
    return files


def _local(source: SourceSettings) -> tuple[RecordFile, ...]:
    pattern = _absolute(source.tfrecords_path)
    matches = sorted(Path(name) for name in glob.glob(pattern))
    files = tuple(path for path in matches if path.is_file() and path.suffix.lower() not in NOT_RECORDS)
    if not files:
        remedy = (
            f"it is a folder; write '{source.tfrecords_path.rstrip('/')}/*'"
            if Path(pattern).is_dir()
            else "check the path (wildcards: * and ?), or run dataset_convert first"
        )
        raise DataError(f"{source.records_field}: '{source.tfrecords_path}' matches no file; {remedy}")
    return files


def _absolute(path: str) -> str:
    """Resolves a relative path that does not exist below `$DATA_BASE_PATH`, as TAO does."""
    base = os.environ.get("DATA_BASE_PATH")
    if base and path and not Path(path).is_absolute() and not glob.glob(path):
        return str(Path(base) / path)
    return path
