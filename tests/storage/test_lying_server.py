"""A server that lists other keys than those asked for, never ends a listing, or answers without end."""

import contextlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from frcnn import limits
from frcnn.errors import StoreError
from frcnn.storage import Store
from frcnn.storage.settings import Settings

ENTRY = (
    '<Contents><Key>%s</Key><Size>1</Size><ETag>"0cc175b9c0f1b6a831c399e269772661"</ETag>'
    "<LastModified>2020-01-01T00:00:00Z</LastModified></Contents>"
)
BITS = b" " * (1 << 20)


def listing(keys, *, token=""):
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
    body = "".join(ENTRY % key for key in keys) + (more if token else "")
    return f"<ListBucketResult><Name>data</Name>{body}</ListBucketResult>".encode()


class Handler(BaseHTTPRequestHandler):
    """Responds with what the server's `answer` returns: status, type, and pieces of the body."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests += 1
        status, kind, pieces = self.server.answer(urlsplit(self.path).query, self.server.requests)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(OSError):
            for piece in pieces:
                self.wfile.write(piece)
                self.server.sent += len(piece)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = server.sent = 0
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def store(server):
    known = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    known |= {"S3_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "S3_PATIENCE_SECONDS": "0"}
    return Store(Settings.from_environment(known))


def xml(body):
    return 200, "application/xml", [body]


def without_end():
    while True:
        yield BITS


@pytest.mark.parametrize("key", ["other/secret", "se", "/etc/passwd", "sets/a"])
def test_a_key_that_was_not_asked_for_is_refused_by_name(server, store, key):
    server.answer = lambda query, number: xml(listing(["set/a", key]))
    with pytest.raises(StoreError, match=f"lists '{key}', which does not begin with 'set/'"):
        store.list("s3://data/set")


def test_a_listing_that_repeats_its_first_page_ends(server, store):
    keys = [f"set/{number}" for number in range(1000)]
    server.answer = lambda query, number: xml(listing(keys, token="again"))
    with pytest.raises(StoreError, match="keys again and again"):
        store.list("s3://data/set")
    assert server.requests <= 3


def test_a_listing_of_new_keys_without_end_ends(server, store, monkeypatch):
    monkeypatch.setattr("frcnn.storage.s3_backend.LISTED_KEYS", 5000)
    pages = lambda number: [f"set/{number:06}-{each}" for each in range(1000)]  # noqa: E731
    server.answer = lambda query, number: xml(listing(pages(number), token=f"page{number}"))
    with pytest.raises(StoreError, match="lists more than 5000 keys"):
        store.list("s3://data/set")
    assert server.requests == 6


def test_a_listing_of_empty_folders_without_end_ends(server, store, monkeypatch):
    monkeypatch.setattr("frcnn.storage.s3_backend.LISTED_KEYS", 50)
    page = lambda number: [f"set/{number}-{each}/" for each in range(10)]  # noqa: E731
    server.answer = lambda query, number: xml(listing(page(number), token=f"page{number}"))
    with pytest.raises(StoreError, match="lists more than 50 keys"):
        store.list("s3://data/set")
    assert server.requests == 6


def with_prefix(page):
    prefixed = re.sub(r"<(/?)(\w)", r"<\1x:\2", page)
    return prefixed.replace("Result>", 'Result xmlns:x="http://s3.amazonaws.com/doc/2006-03-01/">', 1)


@pytest.mark.parametrize(
    "spelled",
    [str, with_prefix, lambda page: page.replace("<IsTruncated>true", '<IsTruncated a="b">True')],
    ids=["plain", "with a prefix", "with an attribute"],
)
def test_a_listing_of_empty_pages_without_end_ends(server, store, monkeypatch, spelled):
    monkeypatch.setattr("frcnn.storage.network.EMPTY_PAGES", 5)
    server.answer = lambda query, number: xml(
        spelled(listing([], token=f"page{number}").decode()).encode() if number < 20 else listing([])
    )
    with pytest.raises(StoreError, match="a listing of more than 5 empty pages"):
        store.list("s3://data/set")
    assert server.requests == 6


def test_empty_pages_before_the_keys_are_allowed(server, store, monkeypatch):
    monkeypatch.setattr("frcnn.storage.network.EMPTY_PAGES", 5)
    keys = [f"set/{number}" for number in range(12)]

    def answer(query, number):
        found = [] if number % 4 else [keys[number - 1]]
        return xml(listing(found, token=f"page{number}" if number < len(keys) else ""))

    server.answer = answer
    assert [each.name for each in store.list("s3://data/set")] == ["3", "7", "11"]


def test_keys_that_are_listed_twice_while_the_bucket_changes_are_one(server, store):
    pages = {1: listing(["set/a", "set/b"], token="b"), 2: listing(["set/b", "set/c"])}
    server.answer = lambda query, number: xml(pages[number])
    assert [each.name for each in store.list("s3://data/set")] == ["a", "b", "c"]


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize(
    "action", [lambda store: store.list("s3://data/set"), lambda store: store.write("s3://data/set/a", b"a")]
)
def test_an_answer_without_end_is_not_kept(server, store, status, action):
    server.answer = lambda query, number: (status, "application/xml", without_end())
    with pytest.raises(StoreError, match="an answer of more than 64 MiB"):
        action(store)
    assert server.sent < 2 * limits.ANSWER_BYTES


def test_a_redirect_is_not_followed(server, store):
    def answer(query, number):
        assert number == 1, "the redirect was followed"
        return 307, "text/html", []

    server.answer = answer
    with pytest.raises(StoreError, match=r"307|another region"):
        store.list("s3://data/set")
