"""push and pull, killed before each call that changes a file or sends to a server: old or new, then equal."""

import os
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


@pytest.fixture
def tried(tmp_path, prepared, record_property):
    """Kills a job at every point, and records how many there are."""

    def run(job: Callable[[Path], None], check, equal, before=lambda folder: None) -> int:
        server_files = tmp_path / "server"
        server_files.mkdir()
        with kill_server(job, server_files) as server:
            work, remote = tmp_path / "work", "KILL_NETWORK" in os.environ
            count = each_kill(server, prepared, work, check, equal=equal, before=before, varying=remote)
        record_property("kill points", count)
        return count

    return run


def test_a_killed_push_leaves_the_former_artifact_or_the_new_one(tmp_path, tried):
    def check(folder: Path) -> None:
        assert held(tmp_path, folder) in (OLD, NEW)

    assert tried(push, check, lambda folder: held(tmp_path, folder)) > 10


def test_a_killed_pull_leaves_all_or_nothing_and_the_next_one_completes_it(prepared, tried):
    push(prepared)

    def check(folder: Path) -> None:
        assert files_in(folder / "copy") in (NEW, {})

    assert tried(pull, check, lambda folder: all_files(folder / "copy")) > 10


def push_to_s3(folder: Path) -> None:
    """The job: publishes the folder `new` to the bucket."""
    Store.from_environment().publish(folder / "new", (folder / "uri").read_text())


def pull_from_s3(folder: Path) -> None:
    """The job: fetches the artifact from the bucket."""
    Store.from_environment().fetch((folder / "uri").read_text(), folder / "copy")


@pytest.fixture
def bucket(server, uri, prepared, monkeypatch):
    """The store of this process and of the jobs; the artifact's address lies in `uri`."""
    for name, value in {**server.environment(), "KILL_NETWORK": "1"}.items():
        monkeypatch.setenv(name, value)
    (prepared / "uri").write_text(uri)
    return Store.from_environment()


def in_bucket(store: Store, uri: str, tmp_path: Path) -> dict[str, bytes]:
    shutil.rmtree(tmp_path / "got", ignore_errors=True)
    store.fetch(uri, tmp_path / "got")
    return files_in(tmp_path / "got")


def test_a_push_to_s3_killed_at_any_request_leaves_the_former_artifact_or_the_new_one(
    tmp_path, tried, bucket, uri
):
    def old(folder: Path) -> None:
        bucket.publish(folder / "old", uri)

    def check(folder: Path) -> None:
        assert in_bucket(bucket, uri, tmp_path) in (OLD, NEW)

    assert tried(push_to_s3, check, lambda _: in_bucket(bucket, uri, tmp_path), before=old) >= 6


def test_a_pull_from_s3_killed_at_any_call_leaves_all_or_nothing_and_the_next_one_completes_it(
    prepared, tried, bucket, uri
):
    bucket.publish(prepared / "new", uri)

    def check(folder: Path) -> None:
        assert files_in(folder / "copy") in (NEW, {})

    assert tried(pull_from_s3, check, lambda folder: all_files(folder / "copy")) > 10
