"""`frcnn store` as people call it."""

import pytest

from frcnn.cli.main import main
from tests.storage.files import contents, write


@pytest.fixture(autouse=True)
def environment(server, monkeypatch):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)


def test_push_ls_verify_pull(uri, tmp_path, capsys):
    folder = write(tmp_path / "folder", {"a.txt": b"hello", "b/c.txt": b"1234567890", "large": 1 << 20})
    assert main(["store", "push", str(folder), uri]) == 0
    assert capsys.readouterr().out == f"published {uri}: 3 files, 1.0 MiB\n"
    assert main(["store", "ls", uri]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(size, name) for size, name, *_ in lines] == [
        ("5", "a.txt"),
        ("10", "b/c.txt"),
        ("1048576", "large"),
    ]
    assert main(["store", "verify", uri]) == 0
    assert capsys.readouterr().out == f"{uri}: 3 files, 1.0 MiB, as published\n"
    assert main(["store", "pull", uri, str(tmp_path / "back")]) == 0
    assert contents(tmp_path / "back") == contents(folder)


def test_ls_shows_the_checksums_of_a_plain_prefix(store, uri, capsys):
    store.write(f"{uri}/greeting", b"hello")
    assert main(["store", "ls", uri]) == 0
    assert capsys.readouterr().out == "5  greeting  5d41402abc4b2a76b9719d911017c592\n"


def test_what_cannot_be_done_is_one_line_and_an_exit_code(uri, tmp_path, caplog):
    assert main(["store", "pull", uri, str(tmp_path / "back")]) == 1
    assert main(["store", "push", uri]) == 2
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        f"{uri}: nothing is there; check the URI (frcnn store ls lists what exists)",
        "store push takes FOLDER and URI, found 1 places",
    ]
