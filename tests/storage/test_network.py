"""Proxies, and servers that are something other than expected: one sentence each."""

import base64
import dataclasses
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from frcnn.errors import StoreError, UsageError
from frcnn.storage import Store
from frcnn.storage.network import proxy_for
from frcnn.storage.settings import Settings

PROXY = "http://proxy.example:3128"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "hush-hush", "S3_PATIENCE_SECONDS": "0"}


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("http://s3.example:9000", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://s3.example:9000", {"HTTPS_PROXY": PROXY}, ""),
        ("https://s3.example", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://s3.example", {"https_proxy": "proxy.example:3128\n", "HTTPS_PROXY": "http://other"}, PROXY),
        ("https://s3.example", {"HTTPS_PROXY": ""}, ""),
        ("https://s3.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "s3.example"}, ""),
        ("http://seaweedfs.kubeflow:9000", {"HTTP_PROXY": PROXY, "NO_PROXY": "a, .kubeflow"}, ""),
        ("http://s3.ns.svc.cluster.local", {"HTTP_PROXY": PROXY, "no_proxy": ".svc,cluster.local"}, ""),
        ("http://10.2.3.4:9000", {"HTTP_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, ""),
        ("http://11.2.3.4:9000", {"HTTP_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, PROXY),
        ("https://s3.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, ""),
        ("https://s3.example:9000", {"HTTPS_PROXY": PROXY, "NO_PROXY": "s3.example:9000, *.other"}, ""),
        ("https://s3.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "3.example,,."}, PROXY),
        ("http://localhost:9000", {"HTTP_PROXY": PROXY}, ""),
        ("http://127.0.0.1:9000", {"HTTP_PROXY": PROXY}, ""),
    ],
)
def test_proxy_of_a_url(url, environment, expected):
    assert proxy_for(url, environment) == expected


@pytest.mark.parametrize("value", ["socks5://me:hush-hush@proxy:1", "http://me:hush-hush@proxy:x", "http://"])
def test_what_is_no_proxy_is_refused_by_name(value):
    with pytest.raises(UsageError, match="HTTPS_PROXY is not the URL of an HTTP proxy") as caught:
        Settings.from_environment({"S3_ENDPOINT": "https://s3.example", "HTTPS_PROXY": value})
    assert "hush" not in str(caught.value)


class Responder(BaseHTTPRequestHandler):
    """Responds to everything with what the server was given; records requests."""

    def respond(self):
        self.server.seen.append((self.command, self.path, self.headers.get("Proxy-Authorization")))
        status, content_type, body, headers = self.server.response
        self.send_response(status)
        for name, value in {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    do_GET = do_HEAD = do_PUT = do_POST = do_CONNECT = respond  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def responder():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Responder)
    server.seen, server.response = [], (403, "text/html", "", {})
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def store_at(endpoint, **more):
    return Store(Settings.from_environment({"S3_ENDPOINT": endpoint, **KEYS, **more}))


def test_plain_requests_go_through_the_proxy_with_its_user(responder):
    proxy = f"http://me:hush-hush@127.0.0.1:{responder.server_port}"
    with pytest.raises(StoreError, match=r"HTTP status 403, which S3 does not; .*NO_PROXY") as caught:
        store_at("http://s3.example:9000", HTTP_PROXY=proxy).list("s3://bucket/p")
    assert "hush" not in str(caught.value)
    method, path, user = responder.seen[0]
    assert (method, path.partition("?")[0]) == ("GET", "http://s3.example:9000/bucket")
    assert base64.b64decode(user.removeprefix("Basic ")) == b"me:hush-hush"


def test_requests_over_tls_ask_the_proxy_for_a_tunnel(responder):
    responder.response = (407, "text/html", "", {})
    proxy = f"http://127.0.0.1:{responder.server_port}"
    with pytest.raises(StoreError, match=f"through the proxy {proxy} .*put user and password"):
        store_at("https://s3.example", HTTPS_PROXY=proxy).list("s3://bucket/p")
    assert responder.seen[0][:2] == ("CONNECT", "s3.example:443")


def test_a_proxy_that_is_down_is_named():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(StoreError, match=rf"cannot reach http://s3.example through the proxy {proxy} \("):
            store_at("http://s3.example", HTTP_PROXY=proxy).list("s3://bucket/p")


def test_a_proxy_is_not_shown_with_the_settings():
    settings = Settings.from_environment(
        {"S3_ENDPOINT": "http://s3.example", "HTTP_PROXY": "http://me:hush@p"}
    )
    assert "hush" not in repr(settings)
    assert "hush" not in repr(dataclasses.replace(settings, parallel=2))


PAGE = "<!doctype html><html><head><meta charset=utf-8><title>Sign in</title></head><body>please<br></html>"


@pytest.mark.parametrize(
    "action", [lambda store: store.list("s3://bucket/p"), lambda store: store.read("s3://bucket/p")]
)
def test_a_login_page_is_told_from_s3(responder, action):
    responder.response = (200, "text/html", PAGE, {})
    with pytest.raises(StoreError, match="something other than S3, such as a login page; check S3_ENDPOINT"):
        action(store_at(f"http://127.0.0.1:{responder.server_port}"))


def error_xml(code, message, region=""):
    more = f"<Region>{region}</Region>" if region else ""
    return f"<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"


@pytest.mark.parametrize(
    ("status", "code", "text", "headers", "hint"),
    [
        (
            400,
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; region 'us-east-1' is wrong; expecting 'eu-central-1'",
            {},
            "set AWS_REGION to eu-central-1",
        ),
        (
            301,
            "PermanentRedirect",
            "The bucket you are attempting to access must be addressed using the specified endpoint.",
            {"x-amz-bucket-region": "eu-west-3"},
            "set AWS_REGION to eu-west-3",
        ),
    ],
)
def test_a_wrong_region_is_named_with_the_right_one(responder, status, code, text, headers, hint):
    responder.response = (status, "application/xml", error_xml(code, text), headers)
    with pytest.raises(StoreError, match=rf"\(AWS_REGION is us-east-1\); {hint}$"):
        store_at(f"http://127.0.0.1:{responder.server_port}").list("s3://bucket/p")


def test_plain_http_to_a_server_with_tls_is_named(responder):
    responder.response = (400, "text/plain", "Client sent an HTTP request to an HTTPS server.\n", {})
    with pytest.raises(StoreError, match="requires TLS; begin S3_ENDPOINT with https://"):
        store_at(f"http://127.0.0.1:{responder.server_port}").list("s3://bucket/p")


def test_tls_to_a_server_without_it_is_named(responder):
    with pytest.raises(StoreError, match=r"does not speak TLS .*; begin S3_ENDPOINT with http://"):
        store_at(f"https://127.0.0.1:{responder.server_port}").list("s3://bucket/p")


@pytest.mark.parametrize(
    "text", ["http://host:abc", "http://host:70000", "http://host:0", "http://[::1", "a b"]
)
def test_an_endpoint_that_is_no_address_is_a_usage_error(text):
    with pytest.raises(UsageError, match="S3_ENDPOINT is "):
        Settings.from_environment({"S3_ENDPOINT": text})
