"""Finds out whether the records to evaluate on contain their images."""

from frcnn.data.input.sources import validation_sources
from frcnn.data.records.example import decode
from frcnn.data.records.index import RecordIndex
from frcnn.data.settings import DataSettings


def validation_images_are_embedded(data: DataSettings) -> bool:
    """Checks whether the first validation record contains its image.

    Args:
        data: Settings of the data.

    Returns:
        Whether it does; `False` without a readable record.

    Raises:
        DataError: There are no validation records.
        StoreError: S3 is unreachable.
    """
    for source in validation_sources(data):
        for file in source.files:
            index = RecordIndex.scan([file])
            if len(index):
                return _is_embedded(index.read(0))
    return False


def _is_embedded(payload: bytes) -> bool:
    try:
        return bool(decode(payload).encoded)
    except ValueError:  # the loader reports broken records
        return False
