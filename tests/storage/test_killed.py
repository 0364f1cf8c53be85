"""push and pull on a volume, killed before every call that changes a file: old or new, and all ends equal."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from frcnn.storage import Store
from tests.support.kill_points import all_files, copy_to, each_kill, kill_server

OLD = {"a.txt": b"old a", "b.txt": b"old b", "both.txt": b"both"}
NEW = {"a.txt": b"new a" * 2000, "folder/c.txt": b"new c", "both.txt": b"both"}


def push(folder: Path) -> None:
    """The job: publishes the folder `new`."""
    Store.from_environment().publish(folder / "new", str(folder / "volume/artifact"))


def pull(folder: Path) -> None:
    """The job: fetches the artifact."""
    Store.from_environment().fetch(str(folder / "volume/artifact"), folder / "copy")


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "prepared"
    for name, files in (("old", OLD), ("new", NEW)):
        write(folder / name, files)
    Store.from_environment().publish(folder / "old", str(folder / "volume/artifact"))
    return folder


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def held(tmp_path: Path, folder: Path) -> dict[str, bytes]:
    """Returns the files that a reader of the artifact gets."""
    copy_to(folder / "volume", tmp_path / "seen")
    shutil.rmtree(tmp_path / "got", ignore_errors=True)
    Store.from_environment().fetch(str(tmp_path / "seen/artifact"), tmp_path / "got")
    return files_in(tmp_path / "got")


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def tried(job: Callable[[Path], None], tmp_path: Path, prepared: Path, check, equal) -> int:
    server_files = tmp_path / "server"
    server_files.mkdir()
    with kill_server(job, server_files) as server:
        count = each_kill(server, prepared, tmp_path / "work", check, equal=equal)
    print(f"{count} points")
    return count


def test_a_killed_push_leaves_the_former_artifact_or_the_new_one(tmp_path, prepared):
    def check(folder: Path) -> None:
        assert held(tmp_path, folder) in (OLD, NEW)

    assert tried(push, tmp_path, prepared, check, lambda folder: held(tmp_path, folder)) > 10


def test_a_killed_pull_leaves_all_or_nothing_and_the_next_one_completes_it(tmp_path, prepared):
    push(prepared)

    def check(folder: Path) -> None:
        assert files_in(folder / "copy") in (NEW, {})

    assert tried(pull, tmp_path, prepared, check, lambda folder: all_files(folder / "copy")) > 10
