"""Header of a sealed model file.

Big-endian, no padding; docs/model-files.md has the table. In every version, present and future, the first 12
bytes are magic, version and header size, and the last 4 bytes of the header are the CRC-32 of the bytes
before. So a damaged header cannot be mistaken for a newer one.
"""

import dataclasses
import hmac
import os
import struct
import zlib
from typing import BinaryIO

from frcnn.errors import ModelError
from frcnn.sealing.key_derivation import MAX_KEY_MEMORY, KeyCost

# Like PNG's magic: a byte that is not ASCII, and line breaks that a transfer in text mode would change.
MAGIC = b"\x89FRM\r\n\x1a\n"
VERSION = 1
TAG_BYTES = 16
KINDS = {"keras": 1, "onnx": 2}

_PREAMBLE = struct.Struct(">8sHH")
_FIELDS = struct.Struct(">8sHHBBBBB7sQ16s")
_KEY_CHECK_BYTES = 32
_CRC = struct.Struct(">I")
HEADER_BYTES = _FIELDS.size + _KEY_CHECK_BYTES + _CRC.size

_LOG2_CHUNK = range(12, 25)
_MAX_CHUNKS = 2**32


class NotSealedError(ModelError):
    """File that is not a sealed model file."""


class UnsupportedModelError(ModelError):
    """Intact header of a newer version, of an unknown kind, or with parameters beyond the limits."""


class WrongKeyError(ModelError):
    """Missing or wrong key."""


class NoKeyError(WrongKeyError):
    """Sealed file for which no key was given."""


class DamagedModelError(ModelError):
    """Sealed file that was changed: flipped bits, added bytes, exchanged parts."""


class TruncatedModelError(DamagedModelError):
    """Sealed file whose end is missing."""


@dataclasses.dataclass(frozen=True)
class Header:
    """Data about a sealed file that is available without its key.

    Attributes:
        kind: "keras" or "onnx".
        payload_size: Size of the plaintext, bytes.
        cost: Cost of the key derivation.
        log2_chunk: Binary logarithm of the chunk size.
        nonce_prefix: Common start of all nonces, 7 bytes.
        salt: Salt of the key derivation, 16 bytes.
        key_check: Digest that identifies the key; empty until `with_key_check`.
    """

    kind: str
    payload_size: int
    cost: KeyCost = dataclasses.field(default_factory=KeyCost)
    log2_chunk: int = 20
    nonce_prefix: bytes = dataclasses.field(default_factory=lambda: os.urandom(7))
    salt: bytes = dataclasses.field(default_factory=lambda: os.urandom(16))
    key_check: bytes = b""

    @property
    def chunk_size(self) -> int:
        """Size of each chunk of plaintext but the last, bytes."""
        return 1 << self.log2_chunk

    @property
    def chunks(self) -> int:
        """Number of chunks. An empty payload has one, so that its end is authenticated too."""
        return max(1, -(-self.payload_size // self.chunk_size))

    @property
    def file_size(self) -> int:
        """Size of the sealed file, bytes."""
        return HEADER_BYTES + self.payload_size + self.chunks * TAG_BYTES

    def with_key_check(self, check_key: bytes) -> "Header":
        """Returns a copy of this header that is bound to a key.

        Args:
            check_key: Key-check key, 32 bytes.
        """
        return dataclasses.replace(self, key_check=self._keyed_digest(check_key))

    def fits(self, check_key: bytes) -> bool:
        """Checks whether this header is bound to a key.

        Args:
            check_key: Key-check key, 32 bytes.
        """
        return hmac.compare_digest(self.key_check, self._keyed_digest(check_key))

    def to_bytes(self) -> bytes:
        """Serializes the header for the file. It is also the associated data of every chunk."""
        body = self._fields() + self.key_check
        return body + _CRC.pack(zlib.crc32(body))

    def nonce(self, index: int) -> bytes:
        """Returns the 12-byte nonce of a chunk, which encodes its position and the end.

        Source: Hoang, Reyhanitabar, Rogaway, Vizar 2015, Online Authenticated Encryption, STREAM.

        Args:
            index: Index of the chunk, from 0.
        """
        return self.nonce_prefix + struct.pack(">IB", index, index == self.chunks - 1)

    def _fields(self) -> bytes:
        cost = (self.cost.log2_n, self.cost.r, self.cost.p)
        rest = (self.log2_chunk, self.nonce_prefix, self.payload_size, self.salt)
        return _FIELDS.pack(MAGIC, VERSION, HEADER_BYTES, KINDS[self.kind], *cost, *rest)

    def _keyed_digest(self, check_key: bytes) -> bytes:
        return hmac.digest(check_key, self._fields(), "sha256")


def read_header(source: BinaryIO, name: str) -> Header:
    """Reads the header of a sealed file and checks it as far as possible without a key.

    Args:
        source: Seekable stream at the start of the file; positioned after the header on return.
        name: Name of the file, for messages.

    Returns:
        The header.

    Raises:
        NotSealedError: The file is not a sealed model file.
        UnsupportedModelError: Version, kind or parameters are not supported.
        DamagedModelError: The header is damaged, or the file is too long.
        TruncatedModelError: The end of the file is missing.
    """
    raw = source.read(HEADER_BYTES)
    _check_preamble(raw, name)
    _, version, size = _PREAMBLE.unpack_from(raw)
    if (version == VERSION and size != HEADER_BYTES) or size < _PREAMBLE.size + _CRC.size:
        raise DamagedModelError(f"{name}: the header is damaged. Fetch the file again.")
    raw = (raw + source.read(max(0, size - len(raw))))[:size]
    if len(raw) < size:
        raise TruncatedModelError(f"{name}: ends after {len(raw)} bytes, inside the header. Fetch it again.")
    if zlib.crc32(raw[: -_CRC.size]) != _CRC.unpack(raw[-_CRC.size :])[0]:
        raise DamagedModelError(f"{name}: the header is damaged (checksum differs). Fetch the file again.")
    if version != VERSION:
        raise UnsupportedModelError(
            f"{name}: sealed in format version {version}; this program reads version {VERSION}. "
            "Update the program, or export the model again with this version."
        )
    header = _parsed(raw, name)
    _check_file_size(source, header, name)
    return header


def _check_preamble(raw: bytes, name: str) -> None:
    if not raw:
        raise NotSealedError(f"{name}: the file is empty")
    if raw[: len(MAGIC)] != MAGIC[: len(raw)]:
        raise NotSealedError(
            f"{name}: not a sealed model file of this program (starts with {raw[:8].hex(' ')}, expected "
            f"{MAGIC.hex(' ')}). A .tlt or .etlt of another toolkit must be decrypted there first."
        )
    if len(raw) < _PREAMBLE.size:
        raise TruncatedModelError(f"{name}: ends after {len(raw)} bytes, inside the header. Fetch it again.")


def _parsed(raw: bytes, name: str) -> Header:
    _, _, _, kind, log2_n, r, p, log2_chunk, prefix, size, salt = _FIELDS.unpack_from(raw)
    kinds = {number: known for known, number in KINDS.items()}
    if kind not in kinds:
        raise UnsupportedModelError(f"{name}: unknown payload kind {kind}; expected one of {kinds}")
    check = raw[_FIELDS.size : _FIELDS.size + _KEY_CHECK_BYTES]
    header = Header(kinds[kind], size, KeyCost(log2_n, r, p), log2_chunk, prefix, salt, check)
    if not header.cost.acceptable():
        raise UnsupportedModelError(
            f"{name}: key derivation requires scrypt with N=2^{log2_n}, r={r}, p={p}; accepted are N=2^10 to "
            f"2^20, r=1 to 32, p=1 to 4, at most {MAX_KEY_MEMORY // 2**20} MiB. Do not trust this file."
        )
    if log2_chunk not in _LOG2_CHUNK or header.chunks > _MAX_CHUNKS:
        raise UnsupportedModelError(
            f"{name}: has {size} bytes in chunks of 2^{log2_chunk}; accepted are up to {_MAX_CHUNKS} chunks "
            "of 2^12 to 2^24 bytes. Do not trust this file."
        )
    return header


def _check_file_size(source: BinaryIO, header: Header, name: str) -> None:
    place = source.tell()
    found = source.seek(0, os.SEEK_END)
    source.seek(place)
    if found < header.file_size:
        raise TruncatedModelError(
            f"{name}: truncated to {found} of {header.file_size} bytes. Fetch the file again."
        )
    if found > header.file_size:
        raise DamagedModelError(
            f"{name}: {found - header.file_size} bytes too long; its header says {header.file_size} bytes. "
            "Fetch the file again."
        )
