"""How large and how deep input may be, in one place, and readers that stop there.

Each limit is far above what real files need and is checked before the memory is taken. docs/model-files.md
has the table for people.
"""

import json
import re
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

MIB = 1 << 20

# Specs: 5000 mapped classes take 0.4 MB.
SPEC_BYTES = 4 * MIB
# Faults of one spec that are looked for; the rest is mostly the consequence of the first.
SPEC_PROBLEMS = 100
# Manifests: 1.5 million files.
MANIFEST_BYTES, MANIFEST_VALUES = 128 * MIB, 8_000_000
# What is read of a store at a time: an object of 5 TB in 10,000 pieces.
PIECE_BYTES = 512 * MIB
# Configurations and records in models: the largest backbone's has 1 MB and 60,000 values.
MODEL_TEXT_BYTES, MODEL_TEXT_VALUES = 16 * MIB, 1_000_000
# Small files of our own: metrics, lists of checkpoints.
SMALL_JSON_BYTES, SMALL_JSON_VALUES = 16 * MIB, 500_000
# The table of contents of a zip archive; a state dict of 5000 tensors has 0.5 MB.
ARCHIVE_DIRECTORY_BYTES = 8 * MIB
# Python memory of a value in JSON is below 250 bytes.
JSON_DEPTH = 200
# ONNX: protobuf reads no more, and no detector has more parts.
ONNX_BYTES, ONNX_FIELDS = (1 << 31) - 1, 2_000_000
# Attributes of an HDF5 file, beside the file's own size.
HDF5_TEXT_BYTES = 16 * MIB

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_OPENED = re.compile(rb"[\[{]")


class TooLargeError(ValueError):
    """Input beyond its limit; the message has no name in it."""


def read_at_most(path: Path, most: int) -> bytes:
    """Returns what is in a file; of an endless one, such as a device, no more than `most` bytes are read.

    Raises:
        TooLargeError: There are more.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        return read_stream(stream, most)


def read_stream(stream: BinaryIO, most: int) -> bytes:
    """Returns the rest of a stream; raises TooLargeError if that is more than `most` bytes."""
    data = stream.read(most + 1)
    if len(data) > most:
        raise TooLargeError(f"longer than {most} bytes")
    return data


def parse_json(text: bytes | str, most_bytes: int, most_values: int) -> Any:
    """Parses JSON of a bounded size; what it holds is counted before any of it is made.

    Args:
        text: JSON, as UTF-8 if it is bytes.
        most_bytes: Of the text.
        most_values: Items of lists, keys and values of objects, all together.

    Raises:
        TooLargeError: There is more of it.
        ValueError: It is no JSON, or nested more deeply than `JSON_DEPTH`.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > most_bytes:
        raise TooLargeError(f"longer than {most_bytes} bytes")
    if _values(data) > most_values:
        data_only = _STRING.sub(b'""', data)
        if _values(data_only) > most_values:
            raise TooLargeError(f"more than {most_values} values")
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return found


def read_json(path: Path) -> Any:
    """Returns what a small JSON file of our own holds.

    Raises:
        ValueError: It is too large or no JSON.
        OSError: It cannot be read.
    """
    data = read_at_most(path, SMALL_JSON_BYTES)
    return parse_json(data, SMALL_JSON_BYTES, SMALL_JSON_VALUES)


def open_archive(path: Path) -> zipfile.ZipFile:
    """Opens a zip archive whose table of contents has a reasonable size; raises as `zipfile` does.

    Raises:
        TooLargeError: Its table is larger.
    """
    with path.open("rb") as stream:
        end = zipfile._EndRecData(stream)  # type: ignore[attr-defined]  # what `ZipFile` goes by
    if end and end[zipfile._ECD_SIZE] > ARCHIVE_DIRECTORY_BYTES:  # type: ignore[attr-defined]
        raise TooLargeError(f"a table of contents of {end[zipfile._ECD_SIZE]} bytes")  # type: ignore[attr-defined]
    return zipfile.ZipFile(path)


def _values(data: bytes) -> int:
    return data.count(b",") + data.count(b"[") + data.count(b"{")
