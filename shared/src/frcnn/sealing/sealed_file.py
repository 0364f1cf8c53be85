"""Model files under a key: `.tlt` and `.etlt`, encrypted and authenticated, in constant memory.

A sealed file is a header (`seal_header.py`) and the model in chunks under AES-256-GCM. Nothing of
it is handed out before all of it is verified. docs/model-files.md has the layout and the threats.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from frcnn.errors import FrcnnError, ModelError, RunError, UsageError
from frcnn.files import atomic_path, is_disk_full, unlinked_file
from frcnn.sealing import header as seal_header
from frcnn.sealing.header import (
    KINDS,
    MAGIC,
    TAG_BYTES,
    DamagedModelError,
    Header,
    KeyCost,
    NotSealedError,
    TruncatedModelError,
    UnsupportedModelError,
    WrongKeyError,
)

__all__ = [
    "DamagedModelError",
    "Header",
    "KeyCost",
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
# What a plain model starts with: a zip archive (.keras), HDF5, an ONNX protobuf (field 1, ir_version).
_PLAIN_STARTS = (b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x08")


def is_sealed(path: Path) -> bool:
    """Whether `path` is a sealed model file; a folder is not.

    Raises:
        ModelError: `path` is missing or cannot be read.
    """
    return not path.is_dir() and _start_of(path) == MAGIC


def header_of(path: Path) -> Header:
    """What is known of a sealed file without its key: kind, size, cost of the key.

    Raises:
        ModelError: as `unseal`, but for the key and damage inside the model.
    """
    with _reading(path) as stream:
        return seal_header.read_header(stream, str(path))


def seal(source: Path, target: Path, key: str, kind: str, cost: KeyCost | None = None) -> None:
    """Writes the model file `source` under `key` to `target`, whole or not at all.

    Args:
        source: Plain model, kept as it is.
        target: Sealed model; may be `source`.
        key: Passphrase, not empty.
        kind: "keras" or "onnx".
        cost: What guessing the key shall cost; only tests want less than the default.

    Raises:
        UsageError: the key is empty.
        ModelError: `source` cannot be read.
    """
    with _reading(source) as plain, atomic_path(target) as temporary, temporary.open("xb") as sealed:
        seal_stream(plain, sealed, key, kind, cost or KeyCost(), str(source))


def unseal(source: Path, target: Path, key: str) -> str:
    """Writes the plain model out of the sealed file `source` to `target`; returns its kind.

    `target` appears only once every byte is verified.

    Raises:
        NotSealedError: `source` is another kind of file.
        UnsupportedModelError: a newer format, or a header that asks for too much.
        WrongKeyError: `key` is empty or not the one it was sealed with.
        DamagedModelError: it was changed; TruncatedModelError, a kind of it: its end is missing.
        ModelError: it cannot be read.
    """
    with _reading(source) as sealed, atomic_path(target) as temporary, temporary.open("xb") as plain:
        return unseal_stream(sealed, plain, key, str(source)).kind


@contextmanager
def opened(path: Path, key: str, kind: str | None = None) -> Iterator[Path]:
    """A plain file to read the model from: `path` itself unless it is sealed.

    A sealed one is decrypted into a file without a name, in the folder TMPDIR, that only this process can
    reach and that is gone when the block or the process ends, however it ends: no signal leaves a copy
    behind. Verified before the block begins.

    Args:
        path: Model file, sealed or plain.
        key: Passphrase; not looked at when `path` is plain.
        kind: "keras" or "onnx" to refuse a sealed file of the other kind.

    Raises:
        ModelError: as `unseal`, or the file is of another kind.
        RunError: TMPDIR is too small for the plain model.
    """
    if not is_sealed(path):
        _refuse_foreign(path)
        yield path
        return
    with unlinked_file() as plain:
        with _reading(path) as sealed:
            header = seal_header.read_header(sealed, str(path))
            if kind not in (None, header.kind):
                raise ModelError(f"{path}: holds a model of kind {header.kind}; expected {kind}")
            sealed.seek(0)
            with _room_for(path), plain.open("wb") as stream:
                unseal_stream(sealed, stream, key, str(path))
        yield plain


@contextmanager
def created(target: Path, key: str, kind: str) -> Iterator[Path]:
    """A path to write a plain model to; when the block ends well, it is at `target` under `key`.

    With an empty key the model is at `target` as it was written. Either way `target` is whole or as
    it was before, and a plain text that is to be sealed stays in a private folder under TMPDIR.

    Raises:
        ModelError: the block wrote no model.
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


def seal_stream(
    source: BinaryIO, target: BinaryIO, key: str, kind: str, cost: KeyCost, name: str = "model"
) -> None:
    """`seal` for open streams: all of `source`, which is seekable, to `target`."""
    if not key:
        raise UsageError(f"{name}: cannot be sealed with an empty key")
    if kind not in KINDS or not cost.acceptable():
        raise ValueError(f"kind {kind!r}, cost {cost}: expected one of {list(KINDS)} and an acceptable cost")
    header = Header(kind, source.seek(0, os.SEEK_END), cost)
    source.seek(0)
    cipher_key, check_key = seal_header.derive_keys(key, header, name)
    header = header.with_key_check(check_key)
    _encrypt(source, target, header, cipher_key, name)


def unseal_stream(source: BinaryIO, target: BinaryIO, key: str, name: str = "model") -> Header:
    """`unseal` for open streams; what is in `target` after an error must not be used.

    Holds one chunk at a time (16 MiB at most), and what scrypt takes (256 MiB at most).
    """
    header = seal_header.read_header(source, name)
    if not key:
        raise WrongKeyError(
            f"{name}: is sealed and no key was given; set FRCNN_KEY or FRCNN_KEY_FILE, or pass -k @FILE"
        )
    cipher_key, check_key = seal_header.derive_keys(key, header, name)
    if not header.fits(check_key):
        origin = getattr(key, "origin", "the caller")
        raise WrongKeyError(f"{name}: sealed with another key than the one from {origin}")
    _decrypt(source, target, header, cipher_key, name)
    return header


def _encrypt(source: BinaryIO, target: BinaryIO, header: Header, key: bytes, name: str) -> None:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher, associated = AESGCM(key), header.to_bytes()
    target.write(associated)
    left = header.payload_size
    for index in range(header.chunks):
        chunk = source.read(min(left, header.chunk_size))
        left -= len(chunk)
        target.write(cipher.encrypt(header.nonce(index), chunk, associated))
    if left or source.read(1):
        raise ModelError(f"{name}: changed while it was being sealed; nothing was written")


def _decrypt(source: BinaryIO, target: BinaryIO, header: Header, key: bytes, name: str) -> None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher, associated = AESGCM(key), header.to_bytes()
    left = header.payload_size
    for index in range(header.chunks):
        size = min(left, header.chunk_size)
        chunk = source.read(size + TAG_BYTES)
        try:
            target.write(cipher.decrypt(header.nonce(index), chunk, associated))
        except InvalidTag:
            end = source.tell()
            raise DamagedModelError(
                f"{name}: the key is right but bytes {end - len(chunk)} to {end - 1} were changed "
                f"(chunk {index + 1} of {header.chunks}); fetch the file again"
            ) from None
        left -= size


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """`path` opened for reading, its faults as ModelError."""
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
    """Raises NotSealedError for a `.tlt` or `.etlt` that is neither sealed by us nor a plain model."""
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
            f"no room in {tempfile.gettempdir()} for the plain copy of {path}; "
            "free some, or set TMPDIR to a larger folder"
        ) from error
