"""The first bytes of a sealed model file: what they say, and the keys that follow from them.

Big-endian, no padding; docs/model-files.md has the table. In every version, present and future, the
first 12 bytes are magic, version and header size, and the header's last 4 bytes are the CRC-32 of
what precedes them, so that a damaged header and a newer one are never mixed up.
"""

import dataclasses
import hmac
import os
import struct
import zlib
from typing import BinaryIO

from frcnn.errors import ModelError
from frcnn.sealing.keys import key_bytes

# Like PNG's: a byte that is not ASCII, and line breaks that a transfer in text mode would change.
MAGIC = b"\x89FRM\r\n\x1a\n"
VERSION = 1
TAG_BYTES = 16
KINDS = {"keras": 1, "onnx": 2}

_PREAMBLE = struct.Struct(">8sHH")
_FIELDS = struct.Struct(">8sHHBBBBB7sQ16s")
_KEY_CHECK_BYTES = 32
_CRC = struct.Struct(">I")
HEADER_BYTES = _FIELDS.size + _KEY_CHECK_BYTES + _CRC.size

_MAX_KEY_MEMORY = 256 * 2**20
_LOG2_N, _R, _P, _LOG2_CHUNK = range(10, 21), range(1, 33), range(1, 5), range(12, 25)
_MAX_CHUNKS = 2**32


class NotSealedError(ModelError):
    """The file is none of ours."""


class UnsupportedModelError(ModelError):
    """An intact header of a newer version, of an unknown kind, or with limits we do not accept."""


class WrongKeyError(ModelError):
    """No key, or not the one the file was sealed with."""


class DamagedModelError(ModelError):
    """The file is not what was written: flipped bits, bytes added, parts exchanged."""


class TruncatedModelError(DamagedModelError):
    """The file's end is missing."""


@dataclasses.dataclass(frozen=True)
class KeyCost:
    """What deriving the key costs (scrypt, RFC 7914): 128 * r * 2**log2_n bytes, p times over.

    The default takes 128 MiB and a fraction of a second: what OWASP recommends for passwords.
    """

    log2_n: int = 17
    r: int = 8
    p: int = 1

    @property
    def memory(self) -> int:
        """Bytes needed to derive the key."""
        return 128 * self.r << self.log2_n

    def acceptable(self) -> bool:
        """Whether a stranger's file may ask for this: 256 MiB and some seconds at most."""
        in_range = self.log2_n in _LOG2_N and self.r in _R and self.p in _P
        # RFC 7914: N < 2^(128 r / 8).
        return in_range and self.log2_n < 16 * self.r and self.memory <= _MAX_KEY_MEMORY


@dataclasses.dataclass(frozen=True)
class Header:
    """What can be known about a sealed file without its key.

    `kind` is "keras" or "onnx"; `payload_size` and `chunk_size` are bytes of plain text. The rest is
    for the cipher. `key_check` is empty until `with_key_check`.
    """

    kind: str
    payload_size: int
    cost: KeyCost = KeyCost()
    log2_chunk: int = 20
    nonce_prefix: bytes = dataclasses.field(default_factory=lambda: os.urandom(7))
    salt: bytes = dataclasses.field(default_factory=lambda: os.urandom(16))
    key_check: bytes = b""

    @property
    def chunk_size(self) -> int:
        """Bytes of plain text in each chunk but the last."""
        return 1 << self.log2_chunk

    @property
    def chunks(self) -> int:
        """Number of chunks; an empty payload has one, so that its end is authenticated too."""
        return max(1, -(-self.payload_size // self.chunk_size))

    @property
    def file_size(self) -> int:
        """Bytes of the whole sealed file."""
        return HEADER_BYTES + self.payload_size + self.chunks * TAG_BYTES

    def with_key_check(self, check_key: bytes) -> "Header":
        """This header, bound to a key."""
        return dataclasses.replace(self, key_check=self._keyed_digest(check_key))

    def fits(self, check_key: bytes) -> bool:
        """Whether the header was written with this key."""
        return hmac.compare_digest(self.key_check, self._keyed_digest(check_key))

    def to_bytes(self) -> bytes:
        """The header as it stands in the file; also what every chunk is authenticated with."""
        body = self._fields() + self.key_check
        return body + _CRC.pack(zlib.crc32(body))

    def nonce(self, index: int) -> bytes:
        """The 12-byte nonce of chunk `index`: it fixes the chunk's place and whether it is the last.

        Source: Hoang, Reyhanitabar, Rogaway, Vizar 2015, Online Authenticated Encryption, STREAM.
        """
        return self.nonce_prefix + struct.pack(">IB", index, index == self.chunks - 1)

    def _fields(self) -> bytes:
        cost = (self.cost.log2_n, self.cost.r, self.cost.p)
        rest = (self.log2_chunk, self.nonce_prefix, self.payload_size, self.salt)
        return _FIELDS.pack(MAGIC, VERSION, HEADER_BYTES, KINDS[self.kind], *cost, *rest)

    def _keyed_digest(self, check_key: bytes) -> bytes:
        return hmac.digest(check_key, self._fields(), "sha256")


def read_header(source: BinaryIO, name: str) -> Header:
    """The header at the start of `source`, checked as far as that goes without a key.

    Args:
        source: Seekable; left right behind the header.
        name: The file's name for messages.

    Raises:
        NotSealedError, UnsupportedModelError, DamagedModelError, TruncatedModelError.
    """
    raw = source.read(HEADER_BYTES)
    _check_preamble(raw, name)
    _, version, size = _PREAMBLE.unpack_from(raw)
    if (version == VERSION and size != HEADER_BYTES) or size < _PREAMBLE.size + _CRC.size:
        raise DamagedModelError(f"{name}: the header is damaged; fetch the file again")
    raw = (raw + source.read(max(0, size - len(raw))))[:size]
    if len(raw) < size:
        raise TruncatedModelError(f"{name}: ends after {len(raw)} bytes, inside the header; fetch it again")
    if zlib.crc32(raw[: -_CRC.size]) != _CRC.unpack(raw[-_CRC.size :])[0]:
        raise DamagedModelError(f"{name}: the header is damaged (checksum differs); fetch the file again")
    if version != VERSION:
        raise UnsupportedModelError(
            f"{name}: sealed in format version {version}; this program reads version {VERSION}. "
            "Update the program, or export the model again with this one"
        )
    header = _parsed(raw, name)
    _check_file_size(source, header, name)
    return header


def derive_keys(key: str, header: Header, name: str) -> tuple[bytes, bytes]:
    """The cipher's key and the key-check key, 32 bytes each, by scrypt from the passphrase.

    Raises:
        ModelError: the machine has not the memory it takes.
    """
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    cost = header.cost
    scrypt = Scrypt(salt=header.salt, length=64, n=1 << cost.log2_n, r=cost.r, p=cost.p)
    try:
        both = scrypt.derive(key_bytes(key))
    except MemoryError:
        need = f"{cost.memory // 2**20} MiB"
        raise ModelError(
            f"{name}: deriving the key takes {need} of memory; allow this process more"
        ) from None
    return both[:32], both[32:]


def _check_preamble(raw: bytes, name: str) -> None:
    if not raw:
        raise NotSealedError(f"{name}: the file is empty")
    if raw[: len(MAGIC)] != MAGIC[: len(raw)]:
        raise NotSealedError(
            f"{name}: not a sealed model file of this program (starts with {raw[:8].hex(' ')}, expected "
            f"{MAGIC.hex(' ')}). A .tlt or .etlt of another toolkit must be decrypted there first"
        )
    if len(raw) < _PREAMBLE.size:
        raise TruncatedModelError(f"{name}: ends after {len(raw)} bytes, inside the header; fetch it again")


def _parsed(raw: bytes, name: str) -> Header:
    _, _, _, kind, log2_n, r, p, log2_chunk, prefix, size, salt = _FIELDS.unpack_from(raw)
    kinds = {number: known for known, number in KINDS.items()}
    if kind not in kinds:
        raise UnsupportedModelError(f"{name}: holds payload kind {kind}; known are {kinds}")
    check = raw[_FIELDS.size : _FIELDS.size + _KEY_CHECK_BYTES]
    header = Header(kinds[kind], size, KeyCost(log2_n, r, p), log2_chunk, prefix, salt, check)
    if not header.cost.acceptable():
        raise UnsupportedModelError(
            f"{name}: asks for scrypt with N=2^{log2_n}, r={r}, p={p} to derive its key; accepted are "
            f"N=2^10 to 2^20, r=1 to 32, p=1 to 4, {_MAX_KEY_MEMORY // 2**20} MiB. Do not trust this file"
        )
    if log2_chunk not in _LOG2_CHUNK or header.chunks > _MAX_CHUNKS:
        raise UnsupportedModelError(
            f"{name}: has {size} bytes in chunks of 2^{log2_chunk}; accepted are chunks of 2^12 to 2^24 "
            f"bytes, {_MAX_CHUNKS} of them. Do not trust this file"
        )
    return header


def _check_file_size(source: BinaryIO, header: Header, name: str) -> None:
    place = source.tell()
    found = source.seek(0, os.SEEK_END)
    source.seek(place)
    if found < header.file_size:
        raise TruncatedModelError(
            f"{name}: truncated, {found} of {header.file_size} bytes are there; fetch the file again"
        )
    if found > header.file_size:
        raise DamagedModelError(
            f"{name}: {found - header.file_size} bytes too long; its header says {header.file_size} bytes"
        )
