"""The sealed format: what goes in comes out, and nothing else ever does."""

import io
import re
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frcnn.errors import ModelError, UsageError
from frcnn.sealing import header as seal_header
from frcnn.sealing import key_derivation, sealed_stream
from frcnn.sealing.header import HEADER_BYTES, NoKeyError, read_header
from frcnn.sealing.keys import Key
from frcnn.sealing.sealed_file import (
    DamagedModelError,
    KeyCost,
    NotSealedError,
    TruncatedModelError,
    UnsupportedModelError,
    WrongKeyError,
)

CHEAP = KeyCost(log2_n=10, r=1)
CHUNK = 4096
# Written by version 1 of the format. It must open for ever.
GOLDEN = bytes.fromhex(
    "8946524d0d0a1a0a00010054020a01010c00010203040506000000000000000d000102030405060708090a0b0c0d0e0f"
    "47d59c35b4b0d42b6a0c6f00fdef0e9f39f7153be24063239dca3d87f4a094a8d21176ef"
    "9782b295982ee10525c58b365fd4377ee7776aff99915fb3fdcd496c50"
)
OFFSETS = {
    "magic": (0, 8),
    "version": (8, 10),
    "header size": (10, 12),
    "kind": (12, 13),
    "cost": (13, 16),
    "chunk size": (16, 17),
    "nonce prefix": (17, 24),
    "payload size": (24, 32),
    "salt": (32, 48),
    "key check": (48, 80),
    "checksum": (80, 84),
}


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 4 KiB, so that a small model has several."""
    real = seal_header.Header
    monkeypatch.setattr(
        sealed_stream, "Header", lambda kind, size, cost: real(kind, size, cost, log2_chunk=12)
    )


def sealed_bytes(plain: bytes, key: str = "key", kind: str = "keras") -> bytes:
    target = io.BytesIO()
    sealed_stream.seal_stream(io.BytesIO(plain), target, key, kind, CHEAP)
    return target.getvalue()


def unsealed_bytes(data: bytes, key: str = "key") -> bytes:
    target = io.BytesIO()
    sealed_stream.unseal_stream(io.BytesIO(data), target, key)
    return target.getvalue()


def with_valid_checksum(data: bytes) -> bytes:
    """`data` as an attacker leaves it who knows how to mend a CRC."""
    return data[:80] + struct.pack(">I", zlib.crc32(data[:80])) + data[84:]


def replaced(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


def documented_reader():
    page = (Path(__file__).parents[3] / "docs" / "model-files.md").read_text(encoding="utf-8")
    scope: dict = {}
    exec(re.search(r"```python reference\n(.*?)```", page, re.DOTALL)[1], scope)
    return scope["open_sealed"]


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7])
def test_what_goes_in_comes_out(small_chunks, size):
    plain = bytes(range(256)) * (size // 256) + bytes(size % 256)
    data = sealed_bytes(plain)
    assert unsealed_bytes(data) == plain
    assert len(data) == HEADER_BYTES + size + 16 * max(1, -(-size // CHUNK))


@given(plain=st.binary(max_size=3 * CHUNK), key=st.text(min_size=1), kind=st.sampled_from(["keras", "onnx"]))
def test_any_payload_and_any_key(plain, key, kind):
    try:
        data = sealed_bytes(plain, key, kind)
    except UsageError:
        assert any(letter == "\0" or 0xD800 <= ord(letter) < 0xE000 for letter in key)
        return
    target = io.BytesIO()
    header = sealed_stream.unseal_stream(io.BytesIO(data), target, key)
    assert (target.getvalue(), header.kind, header.payload_size) == (plain, kind, len(plain))


def test_golden_file_opens():
    target = io.BytesIO()
    header = sealed_stream.unseal_stream(io.BytesIO(GOLDEN), target, "golden key")
    assert (target.getvalue(), header.kind) == (b"model in ONNX", "onnx")


@pytest.mark.parametrize("size", [0, 5, 2 * CHUNK, 2 * CHUNK + 1])
def test_the_reader_in_the_documentation_agrees(small_chunks, size):
    read = documented_reader()
    plain = bytes(range(251)) * (size // 251 + 1)
    assert read(sealed_bytes(plain[:size], "clé", "onnx"), "clé") == (2, plain[:size])
    assert read(GOLDEN, "golden key") == (2, b"model in ONNX")


def test_the_same_model_is_never_sealed_to_the_same_bytes():
    first, second = sealed_bytes(b"model"), sealed_bytes(b"model")
    assert first[17:24] != second[17:24]
    assert first[32:48] != second[32:48]
    assert first[HEADER_BYTES:] != second[HEADER_BYTES:]


def test_plain_text_does_not_show():
    assert b"model model" not in sealed_bytes(b"model " * 100)


@pytest.mark.parametrize("wrong", ["Key", "key ", "ke", "key\n", "another"])
def test_wrong_key_is_told_apart_from_damage(wrong):
    with pytest.raises(WrongKeyError, match="another key than the one from FRCNN_KEY") as caught:
        unsealed_bytes(sealed_bytes(b"model"), Key(wrong, "FRCNN_KEY"))
    assert not isinstance(caught.value, DamagedModelError)
    assert wrong not in str(caught.value).replace("another key", "").replace("FRCNN_KEY", "")


def test_no_key_says_how_to_give_one():
    with pytest.raises(NoKeyError, match="no key was given; set FRCNN_KEY"):
        unsealed_bytes(sealed_bytes(b"model"), "")


def test_sealing_with_no_key_is_refused():
    with pytest.raises(UsageError, match="empty key"):
        sealed_bytes(b"model", "")


def test_key_is_the_same_however_its_accents_are_written():
    assert unsealed_bytes(sealed_bytes(b"model", "cle\u0301"), "cl\u00e9") == b"model"


@pytest.mark.parametrize("region", OFFSETS)
def test_every_flipped_bit_of_the_header_is_found(region):
    data = sealed_bytes(b"model")
    for bit in range(8 * OFFSETS[region][0], 8 * OFFSETS[region][1]):
        changed = replaced(data, bit // 8, bytes([data[bit // 8] ^ 1 << bit % 8]))
        expected = NotSealedError if region == "magic" else DamagedModelError
        with pytest.raises(expected) as caught:
            unsealed_bytes(changed)
        assert not isinstance(caught.value, TruncatedModelError)


def test_every_flipped_byte_of_the_model_is_found_in_its_chunk(small_chunks):
    data = sealed_bytes(bytes(2 * CHUNK + 10))
    for offset in range(HEADER_BYTES, len(data), 101):
        changed = replaced(data, offset, bytes([data[offset] ^ 0x40]))
        chunk = (offset - HEADER_BYTES) // (CHUNK + 16) + 1
        with pytest.raises(DamagedModelError, match=rf"key is right but .* \(chunk {chunk} of 3\)"):
            unsealed_bytes(changed)


def test_every_truncation_is_named_as_such(small_chunks):
    data = sealed_bytes(bytes(2 * CHUNK + 10))
    for length in [*range(1, HEADER_BYTES + 30), *range(HEADER_BYTES + 30, len(data), 97), len(data) - 1]:
        with pytest.raises(TruncatedModelError, match=f"{length}"):
            unsealed_bytes(data[:length])


def test_empty_file_is_said_to_be_empty():
    with pytest.raises(NotSealedError, match="the file is empty"):
        unsealed_bytes(b"")


def test_added_bytes_are_found():
    with pytest.raises(DamagedModelError, match="3 bytes too long; its header says 105 bytes"):
        unsealed_bytes(sealed_bytes(b"model") + b"abc")


def test_chunks_cannot_change_places(small_chunks):
    data = sealed_bytes(bytes(3 * CHUNK))
    chunks = [data[HEADER_BYTES + i * (CHUNK + 16) :][: CHUNK + 16] for i in range(3)]
    with pytest.raises(DamagedModelError, match="chunk 1 of 3"):
        unsealed_bytes(data[:HEADER_BYTES] + chunks[1] + chunks[0] + chunks[2])
    with pytest.raises(DamagedModelError, match="chunk 2 of 3"):
        unsealed_bytes(data[:HEADER_BYTES] + chunks[0] + chunks[0] + chunks[2])


def test_a_chunk_of_another_file_does_not_fit(small_chunks):
    one, other = sealed_bytes(bytes(2 * CHUNK)), sealed_bytes(bytes(2 * CHUNK))
    half = HEADER_BYTES + CHUNK + 16
    with pytest.raises(DamagedModelError, match="chunk 2 of 2"):
        unsealed_bytes(one[:half] + other[half:])


@pytest.mark.parametrize(
    "region", ["kind", "cost", "chunk size", "nonce prefix", "payload size", "salt", "key check"]
)
def test_a_changed_header_with_a_mended_checksum_opens_nothing(region):
    data = sealed_bytes(b"model")
    for offset in range(*OFFSETS[region]):
        changed = with_valid_checksum(replaced(data, offset, bytes([data[offset] ^ 3])))
        with pytest.raises((WrongKeyError, UnsupportedModelError, DamagedModelError)):
            unsealed_bytes(changed)


def test_a_shortened_model_with_a_mended_header_is_refused(small_chunks):
    data = sealed_bytes(bytes(3 * CHUNK))
    shorter = replaced(data[: HEADER_BYTES + 2 * (CHUNK + 16)], 24, struct.pack(">Q", 2 * CHUNK))
    with pytest.raises(WrongKeyError):
        unsealed_bytes(with_valid_checksum(shorter))


def test_newer_version_is_named_with_both_sides():
    newer = with_valid_checksum(replaced(sealed_bytes(b"model"), 8, struct.pack(">H", 2)))
    with pytest.raises(UnsupportedModelError, match="format version 2; this program reads version 1"):
        unsealed_bytes(newer)


@pytest.mark.parametrize("size", [16, 40, 84, 200, 65535])
def test_newer_version_may_have_a_header_of_any_size(size):
    body = struct.pack(">8sHH", seal_header.MAGIC, 7, size) + bytes(size - 16)
    newer = body + struct.pack(">I", zlib.crc32(body)) + b"what only version 7 knows"
    with pytest.raises(UnsupportedModelError, match="format version 7"):
        unsealed_bytes(newer)
    damaged = replaced(newer, 9, b"\6")
    with pytest.raises(DamagedModelError):
        unsealed_bytes(damaged)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (12, b"\x09", "payload kind 9"),
        (13, b"\x14\x20\x01", r"N=2\^20, r=32"),  # 4 GiB
        (13, b"\xff\x08\x01", r"N=2\^255"),
        (13, b"\x11\x08\xff", "p=255"),
        (13, b"\x10\x01\x01", r"N=2\^16, r=1"),  # RFC 7914 forbids it
        (13, b"\x00\x00\x00", r"N=2\^0, r=0, p=0"),
        (16, b"\x3f", r"chunks of 2\^63"),
        (16, b"\x00", r"chunks of 2\^0"),
        (24, b"\xff" * 8, "18446744073709551615 bytes"),
    ],
)
def test_hostile_limits_are_refused_before_any_work(monkeypatch, offset, value, message):
    monkeypatch.setattr(key_derivation, "derive_keys", lambda *_: pytest.fail("derived a key"))
    with pytest.raises(UnsupportedModelError, match=message):
        unsealed_bytes(with_valid_checksum(replaced(GOLDEN, offset, value)))


def test_default_cost_is_acceptable_and_takes_128_mib():
    assert KeyCost().acceptable()
    assert KeyCost().memory == 128 * 2**20
    assert not KeyCost(log2_n=20, r=8).acceptable()


def test_too_little_memory_for_the_key_is_said(monkeypatch):
    from cryptography.hazmat.primitives.kdf import scrypt

    class Starved:
        def __init__(self, **_): ...

        def derive(self, _):
            raise MemoryError

    monkeypatch.setattr(scrypt, "Scrypt", Starved)
    with pytest.raises(ModelError, match="takes 128 MiB of memory"):
        key_derivation.derive_keys("key", seal_header.Header("keras", 0), "model.tlt")


def test_a_source_that_grows_while_it_is_sealed_is_refused():
    header = seal_header.Header("keras", 3, CHEAP)
    with pytest.raises(ModelError, match="changed while it was being sealed"):
        sealed_stream._encrypt(io.BytesIO(b"four"), io.BytesIO(), header, bytes(32), "model")
    with pytest.raises(ModelError, match="changed while it was being sealed"):
        sealed_stream._encrypt(io.BytesIO(b"tw"), io.BytesIO(), header, bytes(32), "model")


def test_header_is_left_right_before_the_first_chunk():
    stream = io.BytesIO(GOLDEN)
    assert read_header(stream, "x").to_bytes() == GOLDEN[:HEADER_BYTES]
    assert stream.tell() == HEADER_BYTES
