"""Data sets on S3 as steps see them: folders, copied once, within a limit; and specs."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from frcnn.errors import StoreError, UsageError
from frcnn.steps.specs import experiment_given
from frcnn.storage.cache_folder import private_part
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
        f"convert --data {uri}: nothing is there; check the URI (frcnn store ls lists what exists)"
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


def test_a_copy_that_was_changed_is_fetched_again(store, uri, tmp_path):
    folder = write(tmp_path / "folder", {"labels/1.txt": b"car", "large": 3_000_000})
    store.publish(folder, uri)
    copy = local_copy(uri, "convert --data", store)
    (copy / "labels" / "1.txt").write_bytes(b"cat")
    assert contents(local_copy(uri, "convert --data", store)) == contents(folder)
    (copy / "labels" / "2.txt").write_bytes(b"one more")
    assert contents(local_copy(uri, "convert --data", store)) == contents(folder)


@pytest.mark.parametrize(
    "name", ["../planted", "/tmp/planted", "a" * 12 + "/../../planted", "A" * 32, "a" * 31, "", 7, None]
)
def test_the_id_of_a_manifest_chooses_no_folder(store, uri, tmp_path, name):
    store.publish(write(tmp_path / "folder", {"labels/1.txt": b"car"}), uri)
    manifest = json.loads(store.read(f"{uri}/frcnn-manifest.json"))
    manifest["id"] = name
    store.write(f"{uri}/frcnn-manifest.json", json.dumps(manifest).encode())
    with pytest.raises(StoreError, match="not a manifest that this version of frcnn reads"):
        local_copy(uri, "convert --data", store)
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_the_cache_is_for_its_user_only(tmp_path):
    cache = tmp_path / "open"
    cache.mkdir(mode=0o777)
    cache.chmod(0o777)
    folder = private_part(cache, "copies")
    assert [stat.S_IMODE(each.stat().st_mode) for each in (cache, folder)] == [0o700, 0o700]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can play another user")
def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    (tmp_path / "cache" / "copies").mkdir(parents=True)
    os.chown(tmp_path / "cache" / "copies", 65534, 65534)
    with pytest.raises(StoreError, match="copies: belongs to user 65534, who could change the copies in it"):
        private_part(tmp_path / "cache", "copies")
    os.chown(tmp_path / "cache", 65534, 65534)
    for variable in (str(tmp_path / "cache"), ""):
        monkeypatch.setenv("FRCNN_CACHE", variable)
        with pytest.raises(StoreError, match="cache: belongs to user 65534"):
            private_part(tmp_path / "cache", "other")


def test_a_link_that_somebody_laid_in_the_place_of_the_cache_is_refused(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "copies").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="copies: "):
        private_part(tmp_path / "cache", "copies")


def test_the_default_is_the_cache_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("FRCNN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert CacheSettings.from_environment().folder == tmp_path / ".cache" / "frcnn"


def test_without_a_home_the_cache_is_below_the_temporary_folder(monkeypatch, tmp_path):
    # What platformdirs gives for a user id that has neither HOME nor an entry in passwd.
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: "~/.cache/frcnn")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert CacheSettings.from_environment({}).folder == Path(tmp_path, f"frcnn-cache-{os.getuid()}")


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
    with pytest.raises(StoreError, match=f"--spec {uri}/none: does not exist; check the URI"):
        experiment_given(f"{uri}/none")
    store.write(f"{uri}/image", b"\xff\xd8\xff")
    with pytest.raises(UsageError, match=f"--spec {uri}/image: is not UTF-8 text; expected a spec"):
        experiment_given(f"{uri}/image")
