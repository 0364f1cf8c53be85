"""Stores calibration images in one HDF5 file, for several exports or another machine."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from frcnn.errors import DataError
from frcnn.files import atomic_path
from frcnn.limits import CALIBRATION_BATCH_BYTES
from frcnn.model.files.hdf5_tree import FAULTS
from frcnn.regular_file import open_regular

_DATASET = "images"


def write_tensor_file(path: Path, batches: Iterable[np.ndarray]) -> None:
    """Writes each batch, `[n, C, H, W]`, as float32 dataset `batch<number>/images`, atomically.

    Args:
        path: HDF5 file.
        batches: Preprocessed batches.
    """
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for number, batch in enumerate(batches):
            file.create_dataset(f"batch{number}/{_DATASET}", data=batch.astype(np.float32, copy=False))


def read_tensor_file(path: Path, shape: Sequence[int]) -> Iterator[np.ndarray]:
    """Reads all four-dimensional arrays of a file, ordered by the numbers in their names.

    Files of other programs work too, whatever their arrays are called.

    Args:
        path: HDF5 file.
        shape: C, H, W.

    Yields:
        Batches, float32 `[n, C, H, W]`.

    Raises:
        DataError: The file is not HDF5, has no such arrays, or images of another shape.
    """
    try:
        # An open file, since the library would wait for the writer of a named pipe.
        with open_regular(path) as stream, h5py.File(stream, "r") as file:
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if _is_batch(item) else None)
            if not names:
                raise DataError(f"{path}: no images found. Expected arrays with four dimensions.")
            for name in sorted(names, key=_natural):
                if file[name].shape[1:] != tuple(shape):
                    raise DataError(
                        f"{path}: {name} has images of {_text(file[name].shape[1:])}; "
                        f"the model takes {_text(shape)} (channels x height x width)"
                    )
                yield _batch(file[name], path)
    except FAULTS as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: cannot be read as an HDF5 file of calibration images ({reason})") from error


def _batch(dataset: h5py.Dataset, path: Path) -> np.ndarray:
    """Returns the images of a batch; a few bytes may describe any number of them."""
    if dataset.is_virtual or dataset.external:
        raise DataError(f"{path}: {dataset.name} is stored in another file; copy it into this one")
    size = math.prod(dataset.shape) * np.dtype(np.float32).itemsize
    if size > CALIBRATION_BATCH_BYTES:
        raise DataError(
            f"{path}: {dataset.name} takes {size >> 20} MiB; expected at most "
            f"{CALIBRATION_BATCH_BYTES >> 20} MiB for each batch"
        )
    return np.asarray(dataset, np.float32)


def _is_batch(item: object) -> bool:
    return isinstance(item, h5py.Dataset) and item.ndim == 4 and item.dtype.kind in "fiu"


def _natural(name: str) -> list[tuple[int, str]]:
    """Returns a sort key that orders batch10 after batch9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
