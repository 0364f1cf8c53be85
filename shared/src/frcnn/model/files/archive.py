"""Keras archives (`.keras`): zip files of a configuration, weights in HDF5 and a training record.

Archives are written without Keras, so that another thread can do it, in Keras's layout. All sizes are limited
on reading, so that an untrusted archive can only be rejected.
"""

import contextlib
import dataclasses
import datetime
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from frcnn.errors import ModelError
from frcnn.files import disk_full_while_reading, is_disk_full, unlinked_file
from frcnn.limits import MODEL_TEXT_BYTES, MODEL_TEXT_VALUES, open_archive, parse_json, read_stream
from frcnn.model.files.hdf5_process import read_tree_in_subprocess
from frcnn.model.files.hdf5_tree import Tree

RECORD, CONFIG, WEIGHTS, METADATA = "frcnn.json", "config.json", "model.weights.h5", "metadata.json"
# Weights are hardly compressible; texts are, but they are small.
_MAX_EXPANSION = 4
_BLOCK = 1 << 20

# Exceptions of zipfile for broken archives.
FAULTS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,
    NotImplementedError,
    OverflowError,
)


def describe_fault(error: BaseException) -> str:
    """Returns what is wrong with an archive, in words.

    Args:
        error: One of `FAULTS`.
    """
    if isinstance(error, zipfile.BadZipFile | zlib.error | EOFError):
        return "it is damaged or in another format"
    if isinstance(error, KeyError):
        return "a part is missing that each such file has"
    return f"it cannot be read: {error}"


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Numbered variables of one owner.

    Attributes:
        path: Path in the HDF5 file.
        name: Name of the owner.
        arrays: Values of the variables.
    """

    path: str
    name: str
    arrays: Sequence[np.ndarray]


def write_archive(path: Path, config: str, groups: Sequence[Group], record: str, keras_version: str) -> None:
    """Writes an archive that Keras can load. Needs no TensorFlow.

    Args:
        path: Output file.
        config: Configuration of the model, JSON.
        groups: Variables of the model.
        record: Training record, JSON.
        keras_version: Version of Keras to store in the archive.
    """
    written = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    texts = {
        METADATA: json.dumps({"keras_version": keras_version, "date_saved": written}),
        CONFIG: config,
        RECORD: record,
    }
    with _weights_file(path) as weights:
        _write_weights(weights, groups)
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in texts.items():
                archive.writestr(name, text)
            with weights.open("rb") as source, archive.open(WEIGHTS, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, _BLOCK)


@contextlib.contextmanager
def _weights_file(path: Path) -> Iterator[Path]:
    """Yields a temporary file for the weights: next to the archive, or unnamed for a sealed one."""
    if path.is_relative_to("/proc"):
        with unlinked_file() as weights:
            yield weights
        return
    weights = path.with_name(f"{path.name}.{WEIGHTS}")
    try:
        yield weights
    finally:
        weights.unlink(missing_ok=True)


def _write_weights(path: Path, groups: Sequence[Group]) -> None:
    import h5py

    written: dict[int, h5py.Dataset] = {}
    with contextlib.ExitStack() as stack:
        # Pass unnamed files as open files, which the HDF5 library requires. Named files are faster by path.
        named = not path.is_relative_to("/proc")
        archive = stack.enter_context(
            h5py.File(path if named else stack.enter_context(path.open("w+b")), "w")
        )
        for group in groups:
            folder = archive.create_group(group.path)
            folder.attrs["name"] = group.name
            for number, array in enumerate(group.arrays):
                # Store shared arrays once, with a hard link for each further name.
                folder[str(number)] = written.get(id(array), array)
                written[id(array)] = folder[str(number)]


def read_text(path: Path, name: str) -> str:
    """Reads a small member of an archive as text.

    Args:
        path: Archive.
        name: Name of the member.

    Returns:
        The text.

    Raises:
        ValueError: The text is too large; broken archives raise any of `FAULTS`.
    """
    with open_archive(path) as archive, archive.open(name) as stream:
        return read_stream(cast(BinaryIO, stream), MODEL_TEXT_BYTES).decode()


def read_configuration(path: Path, name: str) -> Any:
    """Reads a small JSON member of an archive; raises as `read_text`."""
    return parse_json(read_text(path, name), MODEL_TEXT_BYTES, MODEL_TEXT_VALUES)


def read_weights(path: Path, shown: Path) -> Tree:
    """Reads all weights of an archive.

    Args:
        path: Plain archive.
        shown: Path of the file in messages.

    Returns:
        Arrays and texts of the weight file.

    Raises:
        ModelError: The archive is broken.
        RunError: There is no disk space to unpack it.
    """
    # Use an unnamed file: content of a sealed file must not remain on disk.
    with unlinked_file() as plain:
        try:
            with open_archive(path) as archive:
                if archive.getinfo(WEIGHTS).file_size > _MAX_EXPANSION * path.stat().st_size:
                    raise ValueError(f"{WEIGHTS} is much larger than the file allows")
                with archive.open(WEIGHTS) as packed, plain.open("wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked, _BLOCK)
        except FAULTS as error:
            if is_disk_full(error):
                raise disk_full_while_reading(shown) from error
            raise ModelError(f"{shown}: not a readable Keras archive: {describe_fault(error)}") from error
        return read_tree_in_subprocess(plain, shown)
