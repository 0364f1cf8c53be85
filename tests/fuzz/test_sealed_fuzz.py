"""100,000 mutated sealed files: the named errors and nothing else, in bounded memory."""

import hashlib
import io
import random
import struct
import tracemalloc
import zlib

import pytest

from frcnn.sealing import header as seal_header
from frcnn.sealing import key_derivation, sealed_file, sealed_stream
from frcnn.sealing.header import HEADER_BYTES
from tests.fuzz.mutation import mutated

FILES = 100_000
CHUNK = 4096
KEY = "key"
NAMED = (
    sealed_file.NotSealedError,
    sealed_file.UnsupportedModelError,
    sealed_file.WrongKeyError,
    sealed_file.DamagedModelError,
    sealed_file.TruncatedModelError,
)


@pytest.fixture
def cheap_key(monkeypatch):
    """A hash in place of scrypt, that checks what scrypt would have been asked for."""

    def derive(key: str, header: seal_header.Header, name: str) -> tuple[bytes, bytes]:
        assert header.cost.memory <= 256 * 2**20, name
        assert header.cost.p <= 4
        both = hashlib.sha512(repr((str(key), header.salt, header.cost)).encode()).digest()
        return both[:32], both[32:]

    monkeypatch.setattr(key_derivation, "derive_keys", derive)


def small_file(monkeypatch: pytest.MonkeyPatch, size: int) -> bytes:
    """A sealed file in chunks of 4 KiB, that the largest cost we write with was asked for."""
    real = seal_header.Header
    with monkeypatch.context() as patch:
        patch.setattr(sealed_stream, "Header", lambda kind, size, cost: real(kind, size, cost, log2_chunk=12))
        target = io.BytesIO()
        sealed_stream.seal_stream(io.BytesIO(bytes(size)), target, KEY, "keras", sealed_file.KeyCost())
    return target.getvalue()


def with_valid_checksum(data: bytes) -> bytes:
    """Mends the CRC, so that the checks behind it are reached."""
    return data[:80] + struct.pack(">I", zlib.crc32(data[:80])) + data[84:] if len(data) >= 84 else data


@pytest.mark.slow
def test_mutated_files_end_in_a_named_error_and_take_little_memory(monkeypatch, cheap_key):
    rng = random.Random(3)
    originals = [small_file(monkeypatch, size) for size in (0, 5, CHUNK, 2 * CHUNK + 100)]
    seen: dict[type[Exception], int] = dict.fromkeys(NAMED, 0)
    tracemalloc.start()
    for _ in range(FILES):
        original = rng.choice(originals)
        data = mutated(original, rng.choice(originals), rng, head=HEADER_BYTES)
        if rng.random() < 0.5:
            data = with_valid_checksum(data)
        try:
            sealed_stream.unseal_stream(io.BytesIO(data), io.BytesIO(), KEY)
        except NAMED as error:
            seen[type(error)] += 1
        else:
            assert data == original
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert min(seen.values()) > FILES // 1000, f"each kind of error is reached: {seen}"
    assert peak < 2**20, "bytes of Python memory, for files of 10 KB"


@pytest.mark.slow
def test_random_bytes_behind_a_valid_start_end_in_a_named_error(cheap_key):
    rng = random.Random(4)
    for _ in range(20_000):
        start = struct.pack(
            ">8sHH", seal_header.MAGIC, rng.choice((0, 1, 1, 1, 2)), rng.choice((0, 12, 84, 84, 999))
        )
        data = with_valid_checksum(start + rng.randbytes(rng.randrange(300)))
        with pytest.raises(NAMED):
            sealed_stream.unseal_stream(io.BytesIO(data), io.BytesIO(), KEY)
