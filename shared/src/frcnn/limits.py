"""Limits on size and depth of input, and readers that enforce them.

Each limit is far above the needs of real files and is checked before memory is allocated. docs/model-files.md
lists them.
"""

import json
import re
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from frcnn.regular_file import open_regular

MIB = 1 << 20

# Specs: 5000 mapped classes take 0.4 MB.
SPEC_BYTES = 4 * MIB
# Maximum number of reported errors per spec; further ones mostly follow from the first.
SPEC_PROBLEMS = 100
# Manifests: 1.5 million files.
MANIFEST_BYTES, MANIFEST_VALUES = 128 * MIB, 8_000_000
# Maximum read from a store at a time: an object of 5 TB in 10,000 pieces.
PIECE_BYTES = 512 * MIB
# Sizes that a server may report for an object.
OBJECT_BYTES = 64 << 40
# An answer of a server other than an object: a page of a listing has 1000 keys of at most 1024 bytes.
ANSWER_BYTES = 64 * MIB
# Keys of a listing, and keys that may be listed again: a page, for servers that are changed meanwhile.
LISTED_KEYS, REPEATED_KEYS = 2_000_000, 1000
# Successive pages of a listing without a key; some servers skip deleted keys in this way.
EMPTY_PAGES = 10_000
# Configurations and records in models; that of the largest backbone has 1 MB and 60,000 values.
MODEL_TEXT_BYTES, MODEL_TEXT_VALUES = 16 * MIB, 1_000_000
# Small files written by this program: metrics, lists of checkpoints.
SMALL_JSON_BYTES, SMALL_JSON_VALUES = 16 * MIB, 500_000
# The table of contents of a zip archive; a state dict of 5000 tensors has 0.5 MB.
ARCHIVE_DIRECTORY_BYTES = 8 * MIB
# A parsed JSON value takes less than 250 bytes of memory in Python.
JSON_DEPTH = 200
# ONNX: the maximum of protobuf, and more fields than any detector has.
ONNX_BYTES, ONNX_FIELDS = (1 << 31) - 1, 2_000_000
# A record: an image file of the largest size, and its labels.
RECORD_BYTES = 512 * MIB
# A batch of calibration images as float32; 16 images of 1920x1080 take 0.4 GB.
CALIBRATION_BATCH_BYTES = 2048 * MIB
# Attributes of an HDF5 file, in addition to the file's size.
HDF5_TEXT_BYTES = 16 * MIB

# Compression methods of weight files. LZMA allocates the memory that an archive asks for, up to 4 GiB.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


class TooLargeError(ValueError):
    """Input beyond its limit. The message does not name the file."""


def read_at_most(path: Path, most: int) -> bytes:
    """Reads a file of limited size; stops at the limit, even in an endless file such as a device.

    Args:
        path: File to read.
        most: Maximum size in bytes.

    Returns:
        The content.

    Raises:
        TooLargeError: The file is larger.
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        return read_stream(stream, most)


def read_stream(stream: BinaryIO, most: int) -> bytes:
    """Reads the rest of a stream of limited size.

    Args:
        stream: Binary stream.
        most: Maximum size of the rest, bytes.

    Returns:
        The content.

    Raises:
        TooLargeError: The rest is larger.
    """
    data = stream.read(most + 1)
    if len(data) > most:
        raise TooLargeError(f"longer than {most} bytes")
    return data


def parse_json(text: bytes | str, most_bytes: int, most_values: int) -> Any:
    """Parses JSON of limited size; counts the values before creating any.

    Args:
        text: JSON text; bytes are UTF-8.
        most_bytes: Maximum size of the text, bytes.
        most_values: Maximum number of list items, keys and object values in total.

    Returns:
        The parsed value.

    Raises:
        TooLargeError: A limit is exceeded.
        ValueError: The text is not JSON, or nested too deeply.
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
    """Reads a small JSON file that this program wrote.

    Args:
        path: File to read.

    Returns:
        The parsed value.

    Raises:
        ValueError: The file is too large or not JSON.
        OSError: The file cannot be read, or is not a regular file.
    """
    with open_regular(path) as stream:
        data = read_stream(stream, SMALL_JSON_BYTES)
    return parse_json(data, SMALL_JSON_BYTES, SMALL_JSON_VALUES)


def open_archive(path: Path) -> zipfile.ZipFile:
    """Opens a zip archive whose table of contents has a limited size; raises errors like `zipfile`.

    Args:
        path: Archive.

    Returns:
        The open archive; its members are stored or deflated.

    Raises:
        TooLargeError: The table of contents is larger.
        BadZipFile: A member is compressed by a method that may take gigabytes of memory.
    """
    with open_regular(path) as stream:
        end = zipfile._EndRecData(stream)  # type: ignore[attr-defined]  # as `ZipFile` does
    if end and end[zipfile._ECD_SIZE] > ARCHIVE_DIRECTORY_BYTES:  # type: ignore[attr-defined]
        raise TooLargeError(f"a table of contents of {end[zipfile._ECD_SIZE]} bytes")  # type: ignore[attr-defined]
    archive = zipfile.ZipFile(path)
    if not {each.compress_type for each in archive.infolist()} <= _METHODS:
        archive.close()
        raise zipfile.BadZipFile("a compression that no weight file uses")
    return archive


def _values(data: bytes) -> int:
    return data.count(b",") + data.count(b"[") + data.count(b"{")
