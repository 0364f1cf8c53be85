"""Files of sealed models: sealing, opening, private copies, and what is left after errors and signals."""

import errno
import io
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from frcnn.console import signals
from frcnn.errors import ModelError, RunError
from frcnn.sealing import sealed_file, sealed_stream
from frcnn.sealing.sealed_file import (
    DamagedModelError,
    KeyCost,
    NotSealedError,
    TruncatedModelError,
    WrongKeyError,
)
from tests.support.unmeasured import unmeasured

CHEAP = KeyCost(log2_n=10, r=1)


@pytest.fixture(autouse=True)
def temporary_files_here(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


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
        sealed_stream.seal_stream(io.BytesIO(b"model"), io.BytesIO(), "key", kind, cost)


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


@pytest.mark.parametrize("command", [0, 1], ids=["seal", "unseal"])
def test_the_commands_of_the_page_seal_and_open_a_model(tmp_path, command):
    page = (Path(__file__).parents[3] / "docs" / "model-files.md").read_text(encoding="utf-8")
    commands = [each for each in page.split("```sh\n")[1:] if "frcnn.sealing" in each]
    text = commands[command].partition("```")[0].replace("/run/secrets/key", "key.txt")
    (tmp_path / "key.txt").write_text("a key\n")
    (tmp_path / "plain").write_bytes(b"model")
    if command == 0:
        (tmp_path / "plain").rename(tmp_path / "model.keras")
    else:
        sealed_file.seal(tmp_path / "plain", tmp_path / "model.tlt", "a key", "keras")
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    unset = {name: value for name, value in os.environ.items() if not name.startswith("FRCNN_")}
    environment = unset | {"PATH": os.pathsep.join(paths), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(["sh", "-c", text], cwd=tmp_path, env=environment, check=True)
    if command == 0:
        sealed_file.unseal(tmp_path / "model.tlt", tmp_path / "opened", "a key")
        assert (tmp_path / "opened").read_bytes() == b"model"
    else:
        assert (tmp_path / "model.keras").read_bytes() == b"model"
