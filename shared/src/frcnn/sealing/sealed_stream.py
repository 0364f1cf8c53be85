"""Seals and unseals a stream: a header, then the model in chunks under AES-256-GCM.

No plaintext may be used before the whole stream is verified. docs/model-files.md describes the layout and the
threats.
"""

import os
from typing import BinaryIO

from frcnn.errors import ModelError, UsageError
from frcnn.sealing import key_derivation
from frcnn.sealing.header import (
    KINDS,
    TAG_BYTES,
    DamagedModelError,
    Header,
    NoKeyError,
    WrongKeyError,
    read_header,
)
from frcnn.sealing.key_derivation import KeyCost


def seal_stream(
    source: BinaryIO, target: BinaryIO, key: str, kind: str, cost: KeyCost, name: str = "model"
) -> None:
    """Seals a stream; like `seal`.

    Args:
        source: Seekable stream; sealed completely.
        target: Stream for the sealed model.
        key: Passphrase, not empty.
        kind: "keras" or "onnx".
        cost: Cost of the key derivation.
        name: Name of the model, for messages.

    Raises:
        UsageError: The key is empty.
        ValueError: Kind or cost is invalid.
        ModelError: `source` changed meanwhile, or there is not enough memory.
    """
    if not key:
        raise UsageError(f"{name}: cannot be sealed with an empty key. Give a key.")
    if kind not in KINDS or not cost.acceptable():
        raise ValueError(f"kind {kind!r}, cost {cost}: expected one of {list(KINDS)} and an acceptable cost")
    header = Header(kind, source.seek(0, os.SEEK_END), cost)
    source.seek(0)
    cipher_key, check_key = key_derivation.derive_keys(key, header, name)
    header = header.with_key_check(check_key)
    _encrypt(source, target, header, cipher_key, name)


def unseal_stream(source: BinaryIO, target: BinaryIO, key: str, name: str = "model") -> Header:
    """Decrypts a stream; like `unseal`. After an error, the content of `target` must not be used.

    Keeps one chunk in memory (at most 16 MiB), and what scrypt needs (at most 256 MiB).

    Args:
        source: Seekable stream of the sealed model.
        target: Stream for the plain model.
        key: Passphrase.
        name: Name of the model, for messages.

    Returns:
        The header.

    Raises:
        ModelError: See `unseal`.
    """
    header = read_header(source, name)
    if not key:
        raise NoKeyError(
            f"{name}: is sealed and no key was given; set FRCNN_KEY or FRCNN_KEY_FILE, or give the key."
        )
    cipher_key, check_key = key_derivation.derive_keys(key, header, name)
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
        raise ModelError(f"{name}: changed while it was being sealed. Nothing was written; run again.")


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
                f"(chunk {index + 1} of {header.chunks}). Fetch the file again."
            ) from None
        left -= size
