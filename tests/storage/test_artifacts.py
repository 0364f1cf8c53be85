"""Artifacts: published whole or not at all, fetched as they were, never mixed with one another."""

import io
import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from frcnn.errors import RunError, StoreError, UsageError
from frcnn.single_writer import PlaceBusyError, only_writer_of
from frcnn.storage import Store
from frcnn.storage.backend import Entry
from frcnn.storage.checksums import md5
from frcnn.storage.folder_backend import FolderBackend
from tests.storage.conftest import MIB, PIECE
from tests.storage.files import contents, names, noise, write
from tests.support.s3_server import BUCKET

FILES = {
    "model.keras": 2 * PIECE + 12345,
    "labels/ü + % #1.txt": b"car 0 0\n",
    "labels/empty.txt": b"",
    "labels/000001.txt": 700,
}


@pytest.fixture(params=["s3", "folder"])
def place(request, uri, tmp_path):
    """An address on S3, and one on a disk: the same calls for both."""
    return uri if request.param == "s3" else str(tmp_path / "volume" / "artifact")


def key_of(uri):
    return uri.split("/", 3)[3]


def keys(server, uri):
    found = server.client().list_objects(BUCKET, prefix=f"{key_of(uri)}/", recursive=True)
    return [each.object_name.removeprefix(f"{key_of(uri)}/") for each in found]


def test_what_is_fetched_is_what_was_published(store, place, tmp_path):
    folder = write(tmp_path / "folder", FILES)
    store.publish(folder, place)
    store.fetch(place, tmp_path / "there" / "back")
    assert contents(tmp_path / "there" / "back") == contents(folder)
    assert names(tmp_path / "there") == ["back"]


def test_publishing_again_sends_nothing_and_other_contents_get_another_place(through, link, uri, tmp_path):
    store, folder = through(), write(tmp_path / "folder", FILES)
    first = store.publish(folder, uri)
    sent = link.sent
    assert store.publish(folder, uri).id == first.id
    assert link.sent - sent < 20_000
    write(folder, {"labels/000001.txt": b"changed"})
    second = store.publish(folder, uri)
    places = {
        each.name.rsplit("/files/")[0].rsplit("/packs/")[0] for each in (*first.objects, *second.objects)
    }
    assert places == {f"content/{first.id}", f"content/{second.id}"}


def test_whoever_read_the_manifest_can_still_read_its_contents_after_the_next_one(store, uri, tmp_path):
    folder = write(tmp_path / "folder", FILES)
    store.publish(folder, uri)
    before = contents(folder)
    listing = store.contents(uri)
    write(folder, {"labels/000001.txt": b"changed"})
    store.publish(folder, uri)
    store.contents = lambda _: listing  # a reader that got the manifest before
    store.fetch(uri, tmp_path / "old")
    assert contents(tmp_path / "old") == before
    Store(store.settings).fetch(uri, tmp_path / "new")
    assert contents(tmp_path / "new") == contents(folder)


def test_what_is_neither_the_last_nor_the_one_before_is_removed_after_the_grace_period(
    store, server, uri, tmp_path, monkeypatch
):
    ids = []
    for version in (b"1", b"2", b"3"):
        ids.append(store.publish(write(tmp_path / "folder", {"a": version}), uri).id)
    everything = sorted(f"content/{each}/packs/00000" for each in ids)
    assert keys(server, uri) == [*everything, "frcnn-manifest.json"]
    store.collect(uri)
    assert keys(server, uri) == [*everything, "frcnn-manifest.json"]
    monkeypatch.setenv("FRCNN_STORE_GRACE_SECONDS", "0")
    store.collect(uri)
    left = sorted(f"content/{each}/packs/00000" for each in ids[1:])
    assert keys(server, uri) == [*left, "frcnn-manifest.json"]


def test_contents_that_were_removed_once_come_back_in_another_location(store, place, tmp_path, monkeypatch):
    monkeypatch.setenv("FRCNN_STORE_GRACE_SECONDS", "0")
    found = [
        store.publish(write(tmp_path / "folder", {"a": version}), place)
        for version in (b"1", b"2", b"3", b"1")
    ]
    assert found[0].id == found[3].id
    assert [each.location for each in found] == [*(each.id for each in found[:3]), f"{found[0].id}-1"]
    store.fetch(place, tmp_path / "back")
    assert contents(tmp_path / "back") == {"a": b"1"}


def test_a_grace_period_that_is_none(store, place, tmp_path, monkeypatch):
    monkeypatch.setenv("FRCNN_STORE_GRACE_SECONDS", "-1")
    with pytest.raises(UsageError, match="FRCNN_STORE_GRACE_SECONDS is '-1'; expected a number of seconds"):
        store.publish(write(tmp_path / "folder", {"a": 10}), place)


@pytest.mark.parametrize("name", ["model.keras", "labels/000001.txt"])
def test_publishing_again_repairs_what_was_damaged_on_a_volume(store, tmp_path, name):
    place = str(tmp_path / "volume" / "artifact")
    manifest = store.publish(write(tmp_path / "folder", FILES), place)
    file = next(each for each in manifest.files if each.path == name)
    path = tmp_path / "volume" / "artifact" / manifest.objects[file.object].name
    data = bytearray(path.read_bytes())
    data[file.offset + file.size // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"damaged .* publish it again"):
        store.verify(place)
    store.publish(tmp_path / "folder", place)
    store.verify(place)


@pytest.mark.parametrize("text", [b"", b"[]", b'{"format":"frcnn artifact 2"}', b"[" * 100_000])
def test_a_manifest_that_is_none_is_replaced_by_the_next_publication(store, place, tmp_path, text):
    store.write(f"{place}/frcnn-manifest.json", text)
    store.publish(write(tmp_path / "folder", FILES), place)
    store.fetch(place, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tmp_path / "folder")


def test_contents_without_a_manifest_are_not_an_artifact(store, server, uri, tmp_path):
    store.publish(write(tmp_path / "folder", {"a": 10}), f"{uri}/other")
    with pytest.raises(StoreError, match=r"test-\d+/artifact/nothing: nothing is there; check the URI"):
        store.fetch(f"{uri}/nothing", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_small_files_share_objects(store, server, uri, tmp_path):
    folder = write(tmp_path / "folder", {f"{n}.txt": 100 for n in range(300)} | {"large": 2 * MIB})
    manifest = store.publish(folder, uri)
    assert len(manifest.files) == 301
    assert keys(server, uri) == [
        f"content/{manifest.id}/files/large",
        f"content/{manifest.id}/packs/00000",
        "frcnn-manifest.json",
    ]


def test_many_small_files_fill_several_packs(store, uri, tmp_path):
    folder = write(tmp_path / "folder", {f"{n:03d}": MIB - 1 for n in range(45)})
    manifest = store.publish(folder, uri)
    assert [each.name.split("/")[2:] for each in manifest.objects] == [
        ["packs", f"{n:05d}"] for n in range(3)
    ]
    store.fetch(uri, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder)


def test_a_folder_that_holds_the_artifact_is_left_alone_and_any_other_is_refused(store, place, tmp_path):
    folder = write(tmp_path / "folder", FILES)
    store.publish(folder, place)
    store.fetch(place, folder)
    write(folder, {"labels/000001.txt": noise(700, seed=99)})
    with pytest.raises(UsageError, match="exists and differs from"):
        store.fetch(place, folder)
    (tmp_path / "empty").mkdir()
    store.fetch(place, tmp_path / "empty")
    assert len(contents(tmp_path / "empty")) == len(FILES)


@pytest.mark.parametrize("name", ["model.keras", "labels/000001.txt"])
def test_an_object_of_other_bytes_is_found_out_by_fetch_and_verify(store, server, uri, tmp_path, name):
    manifest = store.publish(write(tmp_path / "folder", FILES), uri)
    file = next(each for each in manifest.files if each.path == name)
    stored = manifest.objects[file.object]
    key = f"{key_of(uri)}/{stored.name}"
    data = bytearray(server.client().get_object(BUCKET, key).data)
    data[file.offset + file.size // 2] ^= 1
    server.client().put_object(BUCKET, key, io.BytesIO(data), len(data))
    for action in (lambda: store.fetch(uri, tmp_path / "back"), lambda: store.verify(uri)):
        with pytest.raises(StoreError) as caught:
            action()
        assert str(caught.value) == (
            f"{uri}/{stored.name}: damaged (its checksum is not the published one); publish it again."
        )
    assert not (tmp_path / "back").exists()
    store.publish(tmp_path / "folder", uri)
    store.fetch(uri, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tmp_path / "folder")


def test_an_object_that_is_gone_is_named(store, server, uri, tmp_path):
    manifest = store.publish(write(tmp_path / "folder", FILES), uri)
    server.client().remove_object(BUCKET, f"{key_of(uri)}/{manifest.objects[0].name}")
    with pytest.raises(StoreError, match=f"{manifest.objects[0].name}: does not exist"):
        store.verify(uri)


def test_objects_of_other_programs_are_fetched_and_checked_by_their_etags(store, server, uri, tmp_path):
    data = {"a/1.png": noise(1000), "a/2.png": b"", "large": noise(2 * PIECE + 1)}
    for name, content in data.items():
        server.client().put_object(
            BUCKET, f"{key_of(uri)}/{name}", io.BytesIO(content), len(content), part_size=PIECE
        )
    manifest = store.fetch(uri, tmp_path / "back")
    assert contents(tmp_path / "back") == data
    assert [each.etag[32:] for each in manifest.objects] == ["", "", "-3"]
    assert [each.piece_bytes for each in manifest.objects][2] == PIECE
    store.verify(uri)
    store.fetch(uri, tmp_path / "back")


def test_a_manifest_cannot_write_outside_of_the_folder(store, server, uri, tmp_path):
    store.publish(write(tmp_path / "folder", {"a": 10}), uri)
    manifest = json.loads(store.read(f"{uri}/frcnn-manifest.json"))
    for path in ("../outside", "/tmp/outside", ""):
        manifest["files"][0]["path"] = path
        store.write(f"{uri}/frcnn-manifest.json", json.dumps(manifest).encode())
        with pytest.raises(StoreError, match="not a manifest that this version of frcnn reads"):
            store.fetch(uri, tmp_path / "back")


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"format":"frcnn artifact 2"}', b"\xff"])
def test_what_is_no_manifest_is_refused(store, uri, tmp_path, text):
    store.write(f"{uri}/frcnn-manifest.json", text)
    with pytest.raises(StoreError, match="not a manifest that this version of frcnn reads"):
        store.fetch(uri, tmp_path / "back")


@pytest.mark.parametrize(
    "changes",
    [
        {"previous": "../../../victim"},
        {"unused": {"../../../victim": 1}},
        {"condemned": ["../../../victim"]},
        {"condemned": ["/"]},
        {"id": "../../../victim"},
        {"serial": "../victim"},
        {"objects": [{"name": "../victim/f", "size": 1, "piece_bytes": 1, "md5s": ["0" * 32], "etag": ""}]},
        {"objects": [{"name": "content/x", "size": -1, "piece_bytes": 1, "md5s": ["0" * 32], "etag": ""}]},
        {"objects": [{"name": "content/x", "size": 1, "piece_bytes": 0, "md5s": [], "etag": ""}]},
        {"objects": []},
    ],
    ids=str,
)
def test_a_manifest_that_was_tampered_with_makes_nobody_delete_or_write_elsewhere(store, tmp_path, changes):
    place = tmp_path / "shared" / "artifact"
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "f").write_bytes(b"precious")
    store.publish(write(tmp_path / "folder", {"a": b"1"}), str(place))
    path = place / "frcnn-manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(StoreError, match="not a manifest that this version of frcnn reads"):
        store.fetch(str(place), tmp_path / "back")
    for version in (b"2", b"3", b"4"):
        store.publish(write(tmp_path / "folder", {"a": version}), str(place))
    store.fetch(str(place), tmp_path / "back")
    assert contents(tmp_path / "back") == {"a": b"4"}
    assert contents(tmp_path / "victim") == {"f": b"precious"}


@pytest.mark.parametrize("change", ["twice", "below a file", "the same bytes", "behind the end"])
def test_files_of_a_manifest_that_cannot_be_are_refused(store, uri, tmp_path, change):
    store.publish(write(tmp_path / "folder", {"a": 10, "b": 10}), uri)
    manifest = json.loads(store.read(f"{uri}/frcnn-manifest.json"))
    second = manifest["files"][1]
    second |= {
        "twice": {"path": "a"},
        "below a file": {"path": "a/b"},
        "the same bytes": {"offset": 0, "size": 20},
        "behind the end": {"offset": 15},
    }[change]
    store.write(f"{uri}/frcnn-manifest.json", json.dumps(manifest).encode())
    with pytest.raises(StoreError, match="not a manifest that this version of frcnn reads"):
        store.fetch(uri, tmp_path / "back")


def test_an_object_whose_name_leads_elsewhere_is_named(store, tmp_path, monkeypatch):
    write(tmp_path / "volume", {"a": 10})
    listed = FolderBackend.entries
    lie = [Entry("../planted", 1, "")]
    monkeypatch.setattr(FolderBackend, "entries", lambda self, below="": [*listed(self, below), *lie])
    with pytest.raises(StoreError, match=r"contains an object whose name '\.\./planted' goes upwards"):
        store.fetch(str(tmp_path / "volume"), tmp_path / "back")


def test_two_uploads_of_one_file_to_a_volume_do_not_meet(tmp_path):
    backend, halves = FolderBackend(tmp_path), [b"a" * 1000, b"b" * 1000]
    sums = [md5(half) for half in halves]
    first, second = backend.begin("content/x/file"), backend.begin("content/x/file")
    for upload in (first, second):
        backend.part("content/x/file", upload, 1, 0, halves[0], sums[0])
    backend.part("content/x/file", first, 2, 1000, halves[1], sums[1])
    backend.complete("content/x/file", first, sums)
    third = backend.begin("content/x/file")
    assert (tmp_path / "content/x/file").read_bytes() == b"".join(halves)
    backend.part("content/x/file", second, 2, 1000, halves[1], sums[1])
    backend.complete("content/x/file", second, sums)
    assert (tmp_path / "content/x/file").read_bytes() == b"".join(halves)
    assert [entry.name for entry in backend.entries()] == ["content/x/file"]
    # What a killed process leaves goes with time.
    os.utime(Path(third.id).parent, (0, 0))
    backend.entries()
    backend.remove([])
    assert names(tmp_path / "content/x") == ["file"]


PUBLISH = """
import sys
import threading
from pathlib import Path
from frcnn.storage import Store
from frcnn.storage.checksums import md5
from frcnn.storage.folder_backend import FolderBackend
from frcnn.storage.backend import Entry
folder = Path(sys.argv[1])
for number in range(10):
    folder.mkdir(exist_ok=True)
    (folder / "f").write_text(f"{sys.argv[3]} {number % 3}" * 1000)
    Store().publish(folder, sys.argv[2])
"""


def test_processes_that_publish_to_one_volume_at_once_leave_it_whole(store, tmp_path):
    place = str(tmp_path / "artifact")
    environment = {**os.environ, "FRCNN_STORE_GRACE_SECONDS": "0"}
    command = [sys.executable, "-c", PUBLISH]
    running = [
        subprocess.Popen([*command, tmp_path / name, place, name], env=environment) for name in ("a", "b")
    ]
    assert [each.wait(800) for each in running] == [0, 0]
    store.verify(place)
    assert (tmp_path / "artifact" / "frcnn-manifest.json").is_file()


def test_folders_that_cannot_be_published_are_refused(store, uri, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, message in (("none", "no such folder"), ("empty", "contains no files")):
        with pytest.raises(UsageError, match=message):
            store.publish(tmp_path / folder, uri)
    (tmp_path / "empty" / "link").symlink_to("nowhere")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        store.publish(tmp_path / "empty", uri)
    (tmp_path / "empty" / "link").unlink()
    (tmp_path / "empty" / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="link: a link to a folder; remove it or publish another folder"):
        store.publish(tmp_path / "empty", uri)


def test_files_behind_links_to_folders_are_copied_once(tmp_path):
    for name in ("data", "elsewhere/images"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data/list.txt").write_text("list")
    (tmp_path / "elsewhere/images/a.png").write_text("image")
    (tmp_path / "data/images").symlink_to("../elsewhere/images")
    (tmp_path / "elsewhere/images/up").symlink_to("../../data")  # a loop
    Store().fetch(str(tmp_path / "data"), tmp_path / "copy")
    files = {
        path.relative_to(tmp_path / "copy"): path.read_text() for path in (tmp_path / "copy").rglob("*.*")
    }
    assert files == {Path("list.txt"): "list", Path("images/a.png"): "image"}


def test_broken_links_and_pipes_of_a_folder_are_left_out_and_named(tmp_path, caplog):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.png").write_text("image")
    (tmp_path / "data/b.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "data/c.png")
    Store().fetch(str(tmp_path / "data"), tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").glob("*.png")] == ["a.png"]
    (warning,) = (each.getMessage() for each in caplog.records if "leaving out" in each.getMessage())
    assert "leaving out 2 broken links" in warning
    assert f"{tmp_path}/data/b.png, {tmp_path}/data/c.png" in warning


def test_a_second_fetch_to_a_folder_is_refused_while_the_first_one_runs(store, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("text")
    (tmp_path / "source" / "more").write_text("text")
    store.publish(tmp_path / "source", str(tmp_path / "artifact"))
    address, copy = str(tmp_path / "artifact"), tmp_path / "copy"
    with only_writer_of(copy):
        refused = []

        def second():
            for attempt in (
                lambda: store.fetch(address, copy),
                lambda: store.download_file(f"{tmp_path}/source/file", copy),
            ):
                with pytest.raises(PlaceBusyError, match="is writing there"):
                    attempt()
                refused.append(not copy.exists())

        thread = threading.Thread(target=second)  # a thread counts as another writer
        thread.start()
        thread.join()
    assert refused == [True, True]
    assert store.fetch(address, copy).size == 8
    assert sorted(each.name for each in tmp_path.iterdir()) == ["artifact", "copy", "source"]


@pytest.mark.parametrize("inside", [".", "sub", "sub/../other", "link/sub"])
def test_a_folder_is_not_copied_into_itself(store, tmp_path, inside):
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("text")
    if "link" in inside:
        (source / "link").symlink_to(source)
    target = source / inside
    with pytest.raises(UsageError, match="is inside"):
        store.publish(source, str(target))
    if inside != ".":
        with pytest.raises(UsageError, match="is inside"):
            store.fetch(str(source), target)
    assert {each.name for each in source.iterdir()} <= {"file", "link"}


def test_single_files_go_there_and_back(store, place, tmp_path):
    for size in (0, 1, 2 * PIECE + 1):
        path = write(tmp_path, {"file": size}) / "file"
        store.upload_file(path, f"{place}/file")
        store.download_file(f"{place}/file", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == path.read_bytes()
    store.write(f"{place}/text", b"hello")
    assert store.read(f"{place}/text") == b"hello"
    assert [(each.name, each.size) for each in store.list(place)] == [("file", 2 * PIECE + 1), ("text", 5)]
    store.remove(f"{place}/text")
    store.remove(f"{place}/text")
    assert [each.name for each in store.list(place)] == ["file"]
    assert "partial" not in " ".join(names(tmp_path))


@pytest.fixture
def files_of_at_most_1_mib():
    """A disk that is full for any larger file, for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [2 * PIECE + 12345, 2 * MIB], ids=["in pieces", "whole"])
def test_a_full_volume_is_named_and_keeps_no_part_of_a_file(store, tmp_path, size, request):
    folder = write(tmp_path / "folder", {"small.txt": b"fits", "large.bin": size})
    request.getfixturevalue("files_of_at_most_1_mib")
    volume = tmp_path / "volume"
    with pytest.raises(
        StoreError,
        match=r"^disk full while writing .*/files/large\.bin, or the file is larger than `ulimit -f`",
    ):
        store.publish(folder, str(volume))
    left = [path.read_bytes() for path in volume.rglob("*") if not path.is_dir()]
    assert left in ([], [b"fits"])
    assert not list(volume.rglob(".partial-*"))


@pytest.mark.parametrize("below", ["", "images", "new/place", "images/.."])
def test_nothing_is_published_into_its_own_source(store, tmp_path, below):
    folder = write(tmp_path / "folder", {"a.txt": 1000, "images/b.txt": 1000})
    before = sorted(folder.rglob("*"))
    with pytest.raises(UsageError, match=r"is inside .*, the folder to copy"):
        store.publish(folder, str(folder / below))
    assert sorted(folder.rglob("*")) == before
    store.publish(folder / "images", str(folder / "art"))
    store.publish(folder, str(tmp_path / "folder2"))


def test_a_fetch_follows_no_link_in_the_place_of_its_staging_folder(store, tmp_path):
    folder, volume = write(tmp_path / "folder", {"a.txt": 1000}), str(tmp_path / "volume")
    store.publish(folder, volume)
    (tmp_path / "others").mkdir()
    planted = tmp_path / f".back.partial-{store.contents(volume).id[:12]}"
    planted.symlink_to("others")
    with pytest.raises(RunError, match="expected a folder of this program, found a link or a file"):
        store.fetch(volume, tmp_path / "back")
    assert list((tmp_path / "others").iterdir()) == []
    planted.unlink()
    store.fetch(volume, tmp_path / "back")
    assert not (tmp_path / "back").is_symlink()


def test_a_full_disk_is_named_by_a_fetch_that_goes_on_later(store, tmp_path, request):
    folder, volume = write(tmp_path / "folder", {"large.bin": 2 * PIECE + 12345}), str(tmp_path / "volume")
    store.publish(folder, volume)
    target = tmp_path / "there" / "back"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        with pytest.raises(
            StoreError, match=r"^disk full while writing .*/there/\.back\.partial-\w+, or the file"
        ):
            store.fetch(volume, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not target.exists()
    store.fetch(volume, target)
    assert contents(target) == contents(folder)
