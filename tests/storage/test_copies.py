"""Data sets on S3 as steps see them: folders, copied once, within a limit; and specs."""

import subprocess
import sys

import pytest

from frcnn.errors import StoreError, UsageError
from frcnn.spec.overrides import experiment_given
from frcnn.storage.local_copy import CacheSettings, local_copy
from tests.storage.files import contents, write
from tests.support.task_spec import write_spec


@pytest.fixture(autouse=True)
def environment(server, monkeypatch, tmp_path):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))


def put(store, uri, files):
    for name, data in files.items():
        store.write(f"{uri}/{name}", data)
    return uri


def test_a_prefix_is_copied_once_until_one_of_its_objects_changes(store, through, link, uri):
    files = {"images/1.png": b"1" * 100_000, "labels/1.txt": b"car"}
    put(store, uri, files)
    first = local_copy(uri, "convert --data", through())
    assert contents(first) == files
    received = link.received
    assert local_copy(uri, "convert --data", through()) == first
    assert link.received - received < 20_000
    put(store, uri, {"labels/1.txt": b"cat"})
    second = local_copy(uri, "convert --data", store)
    assert second != first
    assert contents(second) == files | {"labels/1.txt": b"cat"}


def test_an_artifact_is_copied_too_and_a_folder_is_used_as_it_is(store, uri, tmp_path):
    folder = write(tmp_path / "folder", {"images/1.png": 100, "labels/1.txt": b"car"})
    store.publish(folder, uri)
    assert contents(local_copy(uri, "convert --data", store)) == contents(folder)
    assert local_copy(str(folder), "convert --data") == folder


def test_nothing_at_the_address_is_said_with_step_address_and_remedy(store, uri, tmp_path):
    with pytest.raises(StoreError) as caught:
        local_copy(uri, "convert --data", store)
    assert str(caught.value) == (
        f"convert --data {uri}: nothing is there; check the URI (frcnn store ls lists what is)"
    )
    with pytest.raises(StoreError, match="convert --data /nowhere: no such folder; is its volume mounted"):
        local_copy("/nowhere", "convert --data")


def test_copies_of_ended_processes_make_room_oldest_first(store, uri, monkeypatch, tmp_path):
    monkeypatch.setenv("FRCNN_CACHE_LIMIT", "2500 kB")
    code = "import sys; from frcnn.storage.local_copy import local_copy; local_copy(sys.argv[1], '--data')"
    for name in ("a", "b"):
        put(store, f"{uri}/{name}", {"file": name.encode() * 1_000_000})
        subprocess.run([sys.executable, "-c", code, f"{uri}/{name}"], check=True)
    put(store, f"{uri}/c", {"file": b"c" * 1_000_000})
    kept = local_copy(f"{uri}/c", "convert --data", store)
    left = {path.read_bytes()[:1] for path in (tmp_path / "cache").rglob("file")}
    assert left == {b"b", b"c"}
    put(store, f"{uri}/d", {"file": b"d" * 1_600_000})
    with pytest.raises(
        StoreError, match=r"do not fit into .* raise FRCNN_CACHE_LIMIT, or set FRCNN_CACHE to"
    ):
        local_copy(f"{uri}/d", "convert --data", store)
    assert contents(kept) == {"file": b"c" * 1_000_000}


@pytest.mark.parametrize(
    ("text", "count"), [("200GiB", 200 << 30), ("1.5 MB", 1_500_000), ("700", 700), ("64k", 64_000)]
)
def test_limits_as_people_write_them(text, count):
    assert CacheSettings.from_environment({"FRCNN_CACHE_LIMIT": text}).limit == count


def test_a_limit_that_is_none():
    with pytest.raises(UsageError, match="FRCNN_CACHE_LIMIT is 'lots'; expected a size such as 200GiB"):
        CacheSettings.from_environment({"FRCNN_CACHE_LIMIT": "lots"})


def test_a_spec_is_read_from_its_uri(store, uri, tmp_path):
    text = write_spec(tmp_path / "spec.txt").read_bytes()
    store.write(f"{uri}/spec.txt", text)
    found = experiment_given(f"{uri}/spec.txt")
    assert found.text == text.decode()
    assert found.source == f"{uri}/spec.txt"
    with pytest.raises(StoreError, match=f"--spec {uri}/none: not there; check the URI"):
        experiment_given(f"{uri}/none")
    store.write(f"{uri}/image", b"\xff\xd8\xff")
    with pytest.raises(UsageError, match=f"--spec {uri}/image: is not UTF-8 text; expected a spec"):
        experiment_given(f"{uri}/image")
