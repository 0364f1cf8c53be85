"""Servers that die, links that are bad, wrong keys: nothing half published, and a message with a hint."""

import dataclasses
import logging
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from frcnn.errors import StoreError
from frcnn.storage import Store, retry
from frcnn.storage.settings import Settings
from tests.storage.conftest import MIB, PIECE
from tests.storage.files import contents, names, write

LARGE = {"large": 6 * PIECE, "small": 10}
SIZE = 6 * PIECE + 10


@pytest.fixture
def restarted(server):
    """Puts the server back for the next test, whatever happens to it."""
    yield server
    server.start()


def once_past(limit, action):
    """For `BadLink.watch`: calls `action` in a thread when so many bytes were sent, or received."""
    done = threading.Event()

    def watch(sent, received):
        if max(sent, received) > limit and not done.is_set():
            done.set()
            threading.Thread(target=action, daemon=True).start()

    return watch


def test_an_upload_goes_on_when_a_killed_server_is_back(through, link, restarted, uri, tmp_path):
    folder = write(tmp_path / "folder", LARGE)
    link.watch = once_past(3 * PIECE, restarted.restart)
    store = through(parallel=2)
    store.publish(folder, uri)
    # What was under way is sent again, what had arrived is not.
    assert SIZE < link.sent < SIZE + 3 * PIECE
    store.fetch(uri, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder)


def test_a_download_goes_on_when_a_killed_server_is_back(store, through, link, restarted, uri, tmp_path):
    folder = write(tmp_path / "folder", LARGE)
    store.publish(folder, uri)
    link.watch = once_past(3 * PIECE, restarted.restart)
    through(parallel=2).fetch(uri, tmp_path / "back")
    assert SIZE < link.received < SIZE + 3 * PIECE
    assert contents(tmp_path / "back") == contents(folder)


def test_an_upload_that_failed_publishes_nothing_and_the_next_one_sends_the_rest(
    store, through, link, restarted, uri, tmp_path
):
    before = write(tmp_path / "before", {"large": 100})
    store.publish(before, uri)
    folder = write(tmp_path / "folder", LARGE)
    link.watch = once_past(4 * PIECE, restarted.kill)
    with pytest.raises(StoreError) as caught:
        through(parallel=1, patience=0.5).publish(folder, uri)
    assert str(caught.value).startswith(uri)
    assert f"cannot reach {link.endpoint} (" in str(caught.value)
    assert str(caught.value).endswith(
        "check S3_ENDPOINT and whether the server is running, then run the same command again to resume"
    )
    restarted.start()
    store.fetch(uri, tmp_path / "now")
    assert contents(tmp_path / "now") == contents(before)
    link.sent, link.watch = 0, lambda sent, received: None
    through().publish(folder, uri)
    assert link.sent < 4 * PIECE
    store.fetch(uri, tmp_path / "then")
    assert contents(tmp_path / "then") == contents(folder)


def test_a_download_that_failed_leaves_no_folder_and_the_next_one_fetches_the_rest(
    store, through, link, restarted, uri, tmp_path
):
    folder = write(tmp_path / "folder", LARGE)
    store.publish(folder, uri)
    link.watch = once_past(4 * PIECE, restarted.kill)
    with pytest.raises(StoreError, match="cannot reach"):
        through(parallel=1, patience=0.5).fetch(uri, tmp_path / "target" / "back")
    assert not (tmp_path / "target" / "back").exists()
    restarted.start()
    link.received, link.watch = 0, lambda sent, received: None
    through().fetch(uri, tmp_path / "target" / "back")
    assert link.received < 4 * PIECE
    assert contents(tmp_path / "target" / "back") == contents(folder)
    assert names(tmp_path / "target") == ["back"]


def test_pieces_that_were_damaged_on_the_disk_meanwhile_are_fetched_again(
    store, through, link, restarted, uri, tmp_path
):
    folder = write(tmp_path / "folder", LARGE)
    store.publish(folder, uri)
    link.watch = once_past(4 * PIECE, restarted.kill)
    with pytest.raises(StoreError, match="cannot reach"):
        through(parallel=1, patience=0.2).fetch(uri, tmp_path / "back")
    restarted.start()
    (partial,) = tmp_path.glob(".back.partial-*/.*.partial")
    with partial.open("r+b") as stream:
        stream.write(b"\0" * 10)
    store.fetch(uri, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder)


def test_dropped_connections_cost_only_what_was_under_way(through, link, uri, tmp_path, monkeypatch):
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.01)
    folder = write(tmp_path / "folder", LARGE)
    link.cuts, link.cut_after = 4, PIECE // 2
    store = through(parallel=2)
    store.publish(folder, uri)
    assert link.cuts == 0
    assert link.sent < SIZE + 4 * PIECE // 2 + MIB
    store.fetch(uri, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder)


def test_a_slow_link_is_no_fault(through, link, uri, tmp_path):
    folder = write(tmp_path / "folder", {"file": 2 * MIB - 1})
    link.rate = 8 * MIB
    began = time.monotonic()
    store = through(patience=0.0)
    store.publish(folder, uri)
    store.fetch(uri, tmp_path / "back")
    assert time.monotonic() - began > 0.4
    assert contents(tmp_path / "back") == contents(folder)


def spoiler(times):
    """Changes one byte of each large chunk, so many times."""
    left = [times]

    def spoil(data):
        if len(data) < 8000 or not left[0]:
            return data
        left[0] -= 1
        return data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]

    return spoil


@pytest.mark.parametrize("size", [MIB // 2, 3 * PIECE])
def test_bytes_changed_on_the_way_there_are_refused_and_sent_again(through, link, store, uri, tmp_path, size):
    folder = write(tmp_path / "folder", {"file": size})
    link.spoil_sent = spoiler(1)
    through().publish(folder, uri)
    assert link.sent > size + min(size, PIECE)
    store.fetch(uri, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder)


@pytest.mark.parametrize("size", [MIB // 2, 3 * PIECE])
def test_bytes_changed_on_the_way_back_are_found_out_and_fetched_again(
    through, link, store, uri, tmp_path, size
):
    folder = write(tmp_path / "folder", {"file": size})
    store.publish(folder, uri)
    link.spoil_received = spoiler(1)
    through().fetch(uri, tmp_path / "back")
    assert link.received > size + min(size, PIECE)
    assert contents(tmp_path / "back") == contents(folder)


def test_bytes_that_come_changed_each_time_are_an_error(through, link, store, uri, tmp_path):
    store.publish(write(tmp_path / "folder", {"file": MIB // 2}), uri)
    link.spoil_received = spoiler(1000)
    with pytest.raises(StoreError, match="packs/00000: damaged"):
        through().fetch(uri, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_file_that_changes_while_it_is_published_is_an_error(through, link, uri, tmp_path):
    folder = write(tmp_path / "folder", {"file": 4 * PIECE})
    changed = []

    def change(sent, received):
        if sent > PIECE and not changed:
            changed.append(True)
            with (folder / "file").open("r+b") as stream:
                stream.seek(-10, 2)
                stream.write(b"0123456789")

    link.watch = change
    with pytest.raises(StoreError, match="changed while it was being published"):
        through(parallel=1).publish(folder, uri)


def test_keys_the_server_does_not_accept(server, uri, tmp_path):
    folder = write(tmp_path / "folder", {"a": 1})
    for wrong in ({"AWS_SECRET_ACCESS_KEY": "guess"}, {"AWS_ACCESS_KEY_ID": "nobody"}):
        store = Store(Settings.from_environment({**server.environment(), **wrong}))
        with pytest.raises(StoreError) as caught:
            store.publish(folder, uri)
        assert f"{server.endpoint} does not accept the credentials" in str(caught.value)
        assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; correct them" in str(caught.value)
        assert "guess" not in str(caught.value)


def test_no_keys_where_some_are_needed(server, uri, tmp_path):
    store = Store(Settings.from_environment({"S3_ENDPOINT": server.endpoint, "HOME": str(tmp_path)}))
    with pytest.raises(StoreError, match="there are none; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        store.fetch(uri, tmp_path / "back")


def test_keys_that_may_only_read(server, store, uri, tmp_path):
    folder = write(tmp_path / "folder", {"a": 1})
    reader = Store(Settings.from_environment(server.environment("reader")))
    with pytest.raises(StoreError, match=r"does not allow these credentials .* to write it; use others"):
        reader.publish(folder, uri)
    store.publish(folder, uri)
    reader.fetch(uri, tmp_path / "back")
    reader.verify(uri)


@pytest.mark.parametrize("user", ["minio", "reader"])
def test_a_bucket_that_is_missing(server, tmp_path, user):
    folder = write(tmp_path / "folder", {"a": 1})
    store = Store(Settings.from_environment(server.environment(user)))
    for action in (
        lambda: store.publish(folder, "s3://not-there/x"),
        lambda: store.fetch("s3://not-there/x", tmp_path / "back"),
        lambda: store.upload_file(folder / "a", "s3://not-there/x"),
    ):
        with pytest.raises(StoreError, match=r"s3://not-there(/x)?: .* bucket.*correct the URI, or create"):
            action()


def test_a_server_that_is_down_at_the_start(settings, uri, tmp_path, caplog):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        store = Store(dataclasses.replace(settings, endpoint=endpoint, patience=0.3))
        with caplog.at_level(logging.WARNING), pytest.raises(StoreError) as caught:
            store.fetch(uri, tmp_path / "back")
    assert str(caught.value) == (
        f"{uri}/frcnn-manifest.json: cannot reach {endpoint} (connection refused) (tried for 0 s); "
        "check S3_ENDPOINT and whether the server is running, then run the same command again to resume"
    )
    assert [record.message for record in caplog.records] == [
        f"{uri}/frcnn-manifest.json: cannot reach {endpoint} (connection refused); retrying for 0 s"
    ]


class Website(BaseHTTPRequestHandler):
    """Knows nothing."""

    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"no")

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *args):
        pass


def test_something_else_at_the_endpoint(settings, uri, tmp_path):
    with HTTPServer(("127.0.0.1", 0), Website) as website:
        threading.Thread(target=website.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{website.server_address[1]}"
        store = Store(dataclasses.replace(settings, endpoint=endpoint, patience=0.0))
        with pytest.raises(StoreError, match="HTTP status 404, which S3 does not; check S3_ENDPOINT"):
            store.fetch(uri, tmp_path / "back")
        website.shutdown()


def test_two_processes_that_publish_the_same_do_not_disturb_each_other(store, through, link, uri, tmp_path):
    folder = write(tmp_path / "folder", LARGE)
    published = []

    def publish_too(sent, received):
        if sent > 2 * PIECE and not published:
            published.append(store.publish(folder, uri))

    link.watch = publish_too
    manifest = through(parallel=1).publish(folder, uri)
    assert manifest.id == published[0].id
    store.fetch(uri, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(folder)
