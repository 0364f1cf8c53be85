"""Sealed model files: what goes in comes out, and nothing else ever does."""

import errno
import io
import re
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frcnn.console import signals
from frcnn.errors import ModelError, RunError, UsageError
from frcnn.sealing import header as seal_header
from frcnn.sealing import sealed_file
from frcnn.sealing.header import HEADER_BYTES, read_header
from frcnn.sealing.keys import Key
from frcnn.sealing.sealed_file import (
    DamagedModelError,
    KeyCost,
    NotSealedError,
    TruncatedModelError,
    UnsupportedModelError,
    WrongKeyError,
)
from tests.support.unmeasured import unmeasured

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


@pytest.fixture(autouse=True)
def temporary_files_here(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 4 KiB, so that a small model has several."""
    real = seal_header.Header
    monkeypatch.setattr(sealed_file, "Header", lambda kind, size, cost: real(kind, size, cost, log2_chunk=12))


def sealed_bytes(plain: bytes, key: str = "key", kind: str = "keras") -> bytes:
    target = io.BytesIO()
    sealed_file.seal_stream(io.BytesIO(plain), target, key, kind, CHEAP)
    return target.getvalue()


def unsealed_bytes(data: bytes, key: str = "key") -> bytes:
    target = io.BytesIO()
    sealed_file.unseal_stream(io.BytesIO(data), target, key)
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
    header = sealed_file.unseal_stream(io.BytesIO(data), target, key)
    assert (target.getvalue(), header.kind, header.payload_size) == (plain, kind, len(plain))


def test_golden_file_opens():
    target = io.BytesIO()
    header = sealed_file.unseal_stream(io.BytesIO(GOLDEN), target, "golden key")
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
    with pytest.raises(WrongKeyError, match="no key was given; set FRCNN_KEY"):
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
    monkeypatch.setattr(seal_header, "derive_keys", lambda *_: pytest.fail("derived a key"))
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
        seal_header.derive_keys("key", seal_header.Header("keras", 0), "model.tlt")


def test_a_source_that_grows_while_it_is_sealed_is_refused():
    header = seal_header.Header("keras", 3, CHEAP)
    with pytest.raises(ModelError, match="changed while it was being sealed"):
        sealed_file._encrypt(io.BytesIO(b"four"), io.BytesIO(), header, bytes(32), "model")
    with pytest.raises(ModelError, match="changed while it was being sealed"):
        sealed_file._encrypt(io.BytesIO(b"tw"), io.BytesIO(), header, bytes(32), "model")


def test_header_is_left_right_before_the_first_chunk():
    stream = io.BytesIO(GOLDEN)
    assert read_header(stream, "x").to_bytes() == GOLDEN[:HEADER_BYTES]
    assert stream.tell() == HEADER_BYTES


# Files.


@pytest.fixture
def plain_model(tmp_path):
    path = tmp_path / "plain.keras"
    path.write_bytes(b"PK\x03\x04 weights")
    return path


@pytest.fixture
def sealed_model(tmp_path, plain_model):
    path = tmp_path / "models" / "frcnn.epoch_3.tlt"
    sealed_file.seal(plain_model, path, "key", "keras", CHEAP)
    return path


def test_seal_and_unseal_files(tmp_path, plain_model, sealed_model):
    again = tmp_path / "again" / "model.keras"
    assert sealed_file.unseal(sealed_model, again, "key") == "keras"
    assert again.read_bytes() == plain_model.read_bytes()
    assert sealed_file.is_sealed(sealed_model)
    assert not sealed_file.is_sealed(again)
    assert not sealed_file.is_sealed(tmp_path)
    assert sealed_file.header_of(sealed_model).payload_size == len(again.read_bytes())


def test_default_cost_is_what_files_are_sealed_with(tmp_path, plain_model):
    sealed_file.seal(plain_model, tmp_path / "a.tlt", "key", "keras")
    assert sealed_file.header_of(tmp_path / "a.tlt").cost == KeyCost(17, 8, 1)
    assert sealed_file.unseal(tmp_path / "a.tlt", tmp_path / "a.keras", "key") == "keras"


def test_a_model_can_be_sealed_in_place(plain_model):
    before = plain_model.read_bytes()
    sealed_file.seal(plain_model, plain_model, "key", "keras", CHEAP)
    assert sealed_file.is_sealed(plain_model)
    sealed_file.unseal(plain_model, plain_model, "key")
    assert plain_model.read_bytes() == before


def test_nothing_is_written_when_the_model_is_damaged(tmp_path, sealed_model):
    data = sealed_model.read_bytes()
    sealed_model.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    target = tmp_path / "out" / "model.keras"
    target.parent.mkdir()
    target.write_bytes(b"older")
    with pytest.raises(DamagedModelError, match=re.escape(str(sealed_model))):
        sealed_file.unseal(sealed_model, target, "key")
    assert target.read_bytes() == b"older"
    assert list(target.parent.iterdir()) == [target]


def test_opened_gives_a_private_copy_and_removes_it(sealed_model, plain_model, temporary_files_here):
    with sealed_file.opened(sealed_model, "key") as path:
        assert path.read_bytes() == plain_model.read_bytes()
        assert path.stat().st_nlink == 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(temporary_files_here.iterdir()) == []
    assert list(temporary_files_here.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_opened_removes_its_copy_after_an_error_too(sealed_model, temporary_files_here, error):
    with pytest.raises(error), sealed_file.opened(sealed_model, "key"):
        raise error
    assert list(temporary_files_here.iterdir()) == []


def test_opened_leaves_nothing_behind_when_the_key_is_wrong(sealed_model, temporary_files_here):
    with pytest.raises(WrongKeyError), sealed_file.opened(sealed_model, "wrong"):
        pytest.fail("opened with a wrong key")
    assert list(temporary_files_here.iterdir()) == []


def test_opened_gives_plain_models_as_they_are(plain_model, tmp_path):
    with sealed_file.opened(plain_model, "any key", "keras") as path:
        assert path == plain_model
    with sealed_file.opened(tmp_path, "") as path:
        assert path == tmp_path


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x08\x07\x12"])
def test_opened_gives_plain_models_under_the_name_of_sealed_ones(tmp_path, start):
    path = tmp_path / "model.tlt"
    path.write_bytes(start + b"rest")
    with sealed_file.opened(path, "key") as plain:
        assert plain == path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tlt", b"\x93\xa1\x07" * 30),
        ("a.etlt", b"\0\0\0\0\x31\x77\x21"),
        ("a.etlt", b"\x0b\0\0\0input_image#"),
    ],
)
def test_opened_refuses_files_of_the_reference(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with (
        pytest.raises(NotSealedError, match="of another toolkit must be decrypted there"),
        sealed_file.opened(path, "key"),
    ):
        pytest.fail("opened a foreign file")


def test_opened_calls_a_cut_header_truncated(sealed_model):
    sealed_model.write_bytes(sealed_model.read_bytes()[:5])
    with pytest.raises(TruncatedModelError, match="after 5 bytes"), sealed_file.opened(sealed_model, "key"):
        pytest.fail("opened a stub")


def test_opened_refuses_the_other_kind_and_names_both(sealed_model):
    with sealed_file.opened(sealed_model, "key", "keras") as path:
        assert path.is_file()
    with (
        pytest.raises(ModelError, match="of kind keras; expected onnx"),
        sealed_file.opened(sealed_model, "key", "onnx"),
    ):
        pytest.fail("opened the wrong kind")


def test_a_full_temporary_folder_is_named(sealed_model, temporary_files_here, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sealed_file, "unseal_stream", full)
    with pytest.raises(RunError, match="set TMPDIR") as caught, sealed_file.opened(sealed_model, "key"):
        pytest.fail("opened without room")
    assert str(temporary_files_here) in str(caught.value)


def test_created_names_a_full_temporary_folder(tmp_path, temporary_files_here):
    target = tmp_path / "model.tlt"
    with pytest.raises(RunError, match="set TMPDIR") as caught, sealed_file.created(target, "key", "keras"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(target) in str(caught.value)
    assert not target.exists()


def test_other_faults_of_the_block_pass_unchanged(tmp_path, temporary_files_here):
    with pytest.raises(PermissionError), sealed_file.created(tmp_path / "model.tlt", "key", "keras"):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert list(temporary_files_here.iterdir()) == []


@pytest.mark.parametrize(("kind", "cost"), [("pickle", CHEAP), ("keras", KeyCost(log2_n=30))])
def test_only_what_can_be_opened_again_is_sealed(kind, cost):
    with pytest.raises(ValueError, match="expected one of"):
        sealed_file.seal_stream(io.BytesIO(b"model"), io.BytesIO(), "key", kind, cost)


def test_created_seals_what_the_block_wrote(tmp_path, temporary_files_here, monkeypatch):
    monkeypatch.setattr(sealed_file, "KeyCost", lambda: CHEAP)
    target = tmp_path / "new" / "model.tlt"
    with sealed_file.created(target, "key", "keras") as path:
        path.write_bytes(b"model")
        assert path.stat().st_nlink == 0
        assert list(temporary_files_here.iterdir()) == []
        assert not target.exists()
    assert list(temporary_files_here.iterdir()) == []
    with sealed_file.opened(target, "key") as path:
        assert path.read_bytes() == b"model"


def test_created_without_a_model_writes_nothing(tmp_path):
    with (
        pytest.raises(ModelError, match="no model was written"),
        sealed_file.created(tmp_path / "m", "key", "onnx"),
    ):
        pass
    assert not (tmp_path / "m").exists()


KILLED = """
import sys
from pathlib import Path
from frcnn.sealing import sealed_file
with sealed_file.opened(Path(sys.argv[1]), "key") as plain:
    assert plain.stat().st_size > 10
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    "number", [*signals.ENDING, signal.SIGKILL, signal.SIGABRT], ids=lambda each: each.name
)
def test_no_signal_leaves_a_plain_copy_behind(sealed_model, temporary_files_here, number):
    environment = {**unmeasured(), "TMPDIR": str(temporary_files_here)}
    command = [sys.executable, "-c", KILLED, str(sealed_model)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "open\n"
        process.send_signal(number)
        assert process.wait(600) == -number
    assert list(temporary_files_here.iterdir()) == []


def test_created_with_an_empty_key_writes_the_plain_model(tmp_path, temporary_files_here):
    with sealed_file.created(tmp_path / "model.keras", "", "keras") as path:
        path.write_bytes(b"model")
        assert path.suffix == ".keras"
    assert (tmp_path / "model.keras").read_bytes() == b"model"


@pytest.mark.parametrize("key", ["", "key"])
def test_created_keeps_the_older_model_after_an_error(tmp_path, temporary_files_here, key):
    target = tmp_path / "model.tlt"
    target.write_bytes(b"older")
    with pytest.raises(ValueError, match="stop"), sealed_file.created(target, key, "keras") as path:
        path.write_bytes(b"half")
        raise ValueError("stop")
    assert target.read_bytes() == b"older"
    assert {path.name for path in tmp_path.iterdir()} == {"model.tlt", "temporary"}
    assert list(temporary_files_here.iterdir()) == []


@pytest.mark.parametrize("call", [sealed_file.is_sealed, sealed_file.header_of])
def test_missing_file_is_a_model_error(tmp_path, call):
    with pytest.raises(ModelError, match=r"absent\.tlt: cannot read the model: No such file"):
        call(tmp_path / "absent.tlt")


def test_a_folder_or_a_device_is_no_sealed_model(tmp_path):
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(ModelError, match="found a folder or a device"):
            sealed_file.unseal(path, tmp_path / "model.keras", "key")


def test_importing_does_not_import_the_cipher():
    code = "import sys, frcnn.sealing.sealed_file; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


MEASURED = r"""
import re, sys
from pathlib import Path
from frcnn.sealing import sealed_file as sealed

def peak():
    # Not getrusage: its peak begins at that of the process that started this one.
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

folder = Path(sys.argv[1])
sealed.seal(folder / "tiny", folder / "tiny.tlt", "key", "keras")
sealed.unseal(folder / "tiny.tlt", folder / "tiny.keras", "key")
before = peak()
sealed.seal(folder / "large", folder / "large.tlt", "key", "keras")
with sealed.opened(folder / "large.tlt", "key") as plain:
    assert plain.stat().st_size == (folder / "large").stat().st_size
print(before, peak() - before)
"""


@pytest.mark.slow
def test_a_large_model_takes_no_more_memory_than_a_tiny_one(tmp_path, monkeypatch):
    (tmp_path / "tiny").write_bytes(b"model")
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(500 * 10**6)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(sealed_file.__file__).parents[2]))
    command = [sys.executable, "-c", MEASURED, str(tmp_path)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    tiny_peak, growth = map(float, run.stdout.split())
    assert tiny_peak < 250, "MiB, of which scrypt takes 128"
    assert growth < 16, "MiB"
