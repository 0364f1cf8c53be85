"""Sizes that a server reports and no object has, in listings and in answers to HEAD."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from frcnn.errors import StoreError
from frcnn.storage import Store
from frcnn.storage.settings import Settings

LISTING = (
    '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>data</Name>'
    "<IsTruncated>false</IsTruncated><Contents><Key>set/a</Key><Size>%s</Size>"
    '<ETag>"900150983cd24fb0d6963f7d28e17f72"</ETag><LastModified>2020-01-01T00:00:00Z</LastModified>'
    "</Contents></ListBucketResult>"
)


@pytest.fixture
def reporting():
    """Starts servers whose only object, `s3://data/set/a`, has a given size; yields stores that use them."""
    with contextlib.ExitStack() as stack:

        def start(size):
            class Handler(BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def do_HEAD(self):
                    known = self.path.endswith("/set/a")
                    self.send_response(200 if known else 404)
                    self.send_header("Content-Length", str(size) if known else "0")
                    self.send_header("ETag", '"900150983cd24fb0d6963f7d28e17f72"')
                    self.send_header("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")
                    self.end_headers()

                def do_GET(self):
                    body = (LISTING % size).encode()
                    self.send_response(200)
                    self.send_header("Content-Type", "application/xml")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_):
                    pass

            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            stack.callback(server.shutdown)
            known = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
            known |= {"S3_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "S3_PATIENCE_SECONDS": "0"}
            return Store(Settings.from_environment(known))

        yield start


@pytest.mark.parametrize("size", [-5, -(10**30), (64 << 40) + 1, 10**18, 10**30])
def test_a_size_that_no_object_has_is_refused_before_anything_is_written(reporting, tmp_path, size):
    store = reporting(size)
    for attempt in (
        lambda: store.fetch("s3://data/set", tmp_path / "copy"),
        lambda: store.contents("s3://data/set"),
        lambda: store.read("s3://data/set/a"),
        lambda: store.download_file("s3://data/set/a", tmp_path / "file"),
    ):
        with pytest.raises(StoreError, match=r"s3://data/set/a: http://127.0.0.1:\d+ reports a size of"):
            attempt()
    assert list(tmp_path.iterdir()) == []


def test_the_largest_objects_are_listed(reporting):
    assert [each.size for each in reporting(50 << 40).list("s3://data/set")] == [50 << 40]
