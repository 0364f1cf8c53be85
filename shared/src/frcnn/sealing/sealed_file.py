"""Sealed model files (`.tlt`, `.etlt`): encrypted and authenticated, in constant memory.

A file gets its name only after every byte is verified. `sealed_stream` encrypts and decrypts.
"""

import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from frcnn.errors import FrcnnError, ModelError, RunError
from frcnn.files import atomic_path, is_disk_full, unlinked_file
from frcnn.sealing.header import (
    MAGIC,
    DamagedModelError,
    Header,
    NoKeyError,
    NotSealedError,
    TruncatedModelError,
    UnsupportedModelError,
    WrongKeyError,
    read_header,
)
from frcnn.sealing.key_derivation import KeyCost
from frcnn.sealing.sealed_stream import seal_stream, unseal_stream

__all__ = [
    "DamagedModelError",
    "Header",
    "KeyCost",
    "NoKeyError",
    "NotSealedError",
    "TruncatedModelError",
    "UnsupportedModelError",
    "WrongKeyError",
    "created",
    "header_of",
    "is_sealed",
    "opened",
    "seal",
    "seal_stream",
    "unseal",
    "unseal_stream",
]

_SEALED_SUFFIXES = (".tlt", ".etlt")
# First bytes of plain models: zip archive (.keras), HDF5, ONNX protobuf (field 1, ir_version).
_PLAIN_STARTS = (b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x08")


def is_sealed(path: Path) -> bool:
    """Checks whether a path is a sealed model file.

    Args:
        path: File or folder; a folder is not sealed.

    Raises:
        ModelError: `path` is missing or cannot be read.
    """
    return not path.is_dir() and _start_of(path) == MAGIC


def header_of(path: Path) -> Header:
    """Reads the header of a sealed file, which needs no key.

    Args:
        path: Sealed file.

    Returns:
        The header with kind, size and cost of the key.

    Raises:
        ModelError: The file is missing, not sealed, of a newer format, truncated, or its header is damaged.
    """
    with _reading(path) as stream:
        return read_header(stream, str(path))


def seal(source: Path, target: Path, key: str, kind: str, cost: KeyCost | None = None) -> None:
    """Seals a plain model file, atomically.

    Args:
        source: Plain model; stays unchanged unless it is also `target`.
        target: Sealed model; may be `source`.
        key: Passphrase, not empty.
        kind: "keras" or "onnx".
        cost: Cost of guessing the key; only tests use less than the default.

    Raises:
        UsageError: The key is empty.
        ModelError: `source` cannot be read.
    """
    with _reading(source) as plain, atomic_path(target) as temporary, temporary.open("xb") as sealed:
        seal_stream(plain, sealed, key, kind, cost or KeyCost(), str(source))


def unseal(source: Path, target: Path, key: str) -> str:
    """Decrypts a sealed file. `target` appears only after every byte is verified.

    Args:
        source: Sealed model.
        target: Plain model to write.
        key: Passphrase.

    Returns:
        Kind of the model: "keras" or "onnx".

    Raises:
        NotSealedError: `source` is another kind of file.
        UnsupportedModelError: The format is newer, or the header exceeds the limits.
        WrongKeyError: `key` is empty or wrong.
        DamagedModelError: The file was changed, or its end is missing (`TruncatedModelError`).
        ModelError: The file cannot be read.
    """
    with _reading(source) as sealed, atomic_path(target) as temporary, temporary.open("xb") as plain:
        return unseal_stream(sealed, plain, key, str(source)).kind


@contextmanager
def opened(path: Path, key: str, kind: str | None = None) -> Iterator[Path]:
    """Yields a path from which a plain model can be read: `path` itself unless it is sealed.

    A sealed file is verified and decrypted into an unnamed file in TMPDIR that only this process can access.
    It disappears with the block or the process, even if a signal kills the process.

    Args:
        path: Model file, sealed or plain.
        key: Passphrase; ignored if `path` is plain.
        kind: Expected kind of a sealed file, "keras" or "onnx"; `None` for any.

    Yields:
        Path of the plain model.

    Raises:
        ModelError: See `unseal`; or the file is of another kind.
        RunError: TMPDIR is too small for the plain model.
    """
    if not is_sealed(path):
        _refuse_foreign(path)
        yield path
        return
    with unlinked_file() as plain:
        with _reading(path) as sealed:
            header = read_header(sealed, str(path))
            if kind not in (None, header.kind):
                raise ModelError(f"{path}: found a model of kind {header.kind}; expected {kind}.")
            sealed.seek(0)
            with _room_for(path), plain.open("wb") as stream:
                unseal_stream(sealed, stream, key, str(path))
        yield plain


@contextmanager
def created(target: Path, key: str, kind: str) -> Iterator[Path]:
    """Yields a path for a plain model, which is sealed to `target` if the block succeeds.

    With an empty key, the model is moved to `target` unchanged. In both cases `target` is replaced
    atomically. A plaintext to be sealed stays in an unnamed file in TMPDIR.

    Args:
        target: Model file to create or replace.
        key: Passphrase; empty for a plain file.
        kind: "keras" or "onnx".

    Yields:
        Path to write the plain model to.

    Raises:
        ModelError: The block wrote no model.
        RunError: TMPDIR or the disk of `target` is full.
    """
    if not key:
        with atomic_path(target) as temporary:
            yield temporary
        return
    with unlinked_file() as plain:
        with _room_for(target):
            yield plain
        if not plain.stat().st_size:
            raise ModelError(f"{target}: no model was written")
        seal(plain, target, key, kind)


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for reading; turns errors into `ModelError`."""
    try:
        # Opening a pipe would wait for a writer that may never come.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelError(f"{path}: expected a model file, found a folder or a device")
        stream = path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path}: cannot read the model: {reason}") from error
    with stream:
        yield stream


def _start_of(path: Path) -> bytes:
    with _reading(path) as stream:
        return stream.read(len(MAGIC))


def _refuse_foreign(path: Path) -> None:
    """Raises `NotSealedError` for a `.tlt` or `.etlt` that is neither sealed nor a plain model."""
    if path.suffix not in _SEALED_SUFFIXES or path.is_dir():
        return
    if not _start_of(path).startswith(_PLAIN_STARTS):
        header_of(path)


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(error, FrcnnError) or not is_disk_full(error):
            raise
        raise RunError(
            f"Not enough space in {tempfile.gettempdir()} for the plain copy of {path}. "
            "Free some space there, or set TMPDIR to a larger folder."
        ) from error
