"""Credentials from a web identity, a container's and a machine's role, against services of the tests' own."""

import contextlib
import datetime
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from frcnn.errors import StoreError, UsageError
from frcnn.storage import Store
from frcnn.storage.settings import Settings

TOKEN = "a.token-of.the-kubelet"
ROLE = "arn:aws:iam::1:role/frcnn"
STS = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{key}</AccessKeyId>
<SecretAccessKey>minio123</SecretAccessKey><SessionToken></SessionToken><Expiration>{until}</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


@contextlib.contextmanager
def serving(respond):
    """Serves `respond(method, path, query, headers) -> (status, text)`; yields the URL and what was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            asked.append((self.command, url.path))
            status, text = respond(self.command, url.path, query, self.headers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def until(seconds):
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def web_identity(url, token_file, **more):
    return {
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file),
        "AWS_ENDPOINT_URL_STS": url,
        "HOME": "/nonexistent",
        **more,
    }


def test_a_web_identity_is_exchanged_for_keys_and_renewed_when_they_expire(server, token_file, uri):
    seen = []

    def sts(method, path, query, headers):
        seen.append((query["WebIdentityToken"], query["RoleArn"]))
        return 200, STS.format(key="minio", until=until(5 if len(seen) == 1 else 3600))

    with serving(sts) as (url, _):
        settings = Settings.from_environment(web_identity(url, token_file, S3_ENDPOINT=server.endpoint))
        store = Store(settings)
        store.write(uri, b"hello")
        assert store.read(uri) == b"hello"
    # The first keys counted as expired, since they had less than ten seconds left; the second were kept.
    assert seen == [(TOKEN, ROLE)] * 2
    assert settings.credentials_source == f"role {ROLE} by AWS_WEB_IDENTITY_TOKEN_FILE"


def test_a_role_that_is_refused_is_named_without_the_token(server, token_file, uri):
    with serving(lambda *_: (403, "<no/>")) as (url, _):
        variables = web_identity(url, token_file, S3_ENDPOINT=server.endpoint, S3_PATIENCE_SECONDS="0")
        with pytest.raises(StoreError, match=f"no credentials from role {ROLE}.*status code 403") as caught:
            Store(Settings.from_environment(variables)).read(uri)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"AWS_ROLE_ARN": ""}, "AWS_ROLE_ARN is not set, but AWS_WEB_IDENTITY_TOKEN_FILE is"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/none"}, "AWS_WEB_IDENTITY_TOKEN_FILE: /none: no such file"),
    ],
)
def test_half_a_web_identity_is_refused(token_file, change, message):
    with pytest.raises(UsageError, match=message):
        Settings.from_environment({**web_identity("http://sts", token_file), **change})


def test_a_containers_role_gives_keys(server, uri):
    keys = {"AccessKeyId": "minio", "SecretAccessKey": "minio123", "Token": "", "Expiration": until(3600)}
    with serving(lambda *_: (200, json.dumps(keys))) as (url, asked):
        variables = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/role",
            "S3_ENDPOINT": server.endpoint,
            "HOME": "/nonexistent",
        }
        Store(Settings.from_environment(variables)).write(uri, b"hello")
    assert asked == [("GET", "/role")]


def test_a_machines_role_gives_keys(server, uri):
    keys = {"AccessKeyId": "minio", "SecretAccessKey": "minio123", "Token": "", "Expiration": until(3600)}

    def metadata(method, path, query, headers):
        if method == "PUT":
            return 200, "session"
        assert headers["X-aws-ec2-metadata-token"] == "session"
        return 200, "frcnn" if path.endswith("security-credentials/") else json.dumps(keys)

    with serving(metadata) as (url, asked):
        variables = {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": url,
            "S3_ENDPOINT": server.endpoint,
            "HOME": "/nonexistent",
        }
        Store(Settings.from_environment(variables)).write(uri, b"hello")
        assert asked[-1] == ("GET", "/latest/meta-data/iam/security-credentials/frcnn")
        off = Settings.from_environment({**variables, "AWS_EC2_METADATA_DISABLED": "true"})
    assert off.credentials is None


def test_a_broken_file_of_keys_is_named(server, tmp_path, uri):
    file = tmp_path / "keys"
    file.write_text("aws_access_key_id = A\n")
    variables = {"S3_ENDPOINT": server.endpoint, "AWS_SHARED_CREDENTIALS_FILE": str(file)}
    with pytest.raises(StoreError, match=f"no credentials from profile default of {file}: .*no section"):
        Store(Settings.from_environment(variables)).read(uri)


def test_line_breaks_around_values_are_dropped_and_those_inside_keys_refused():
    given = {
        "S3_ENDPOINT": "http://m:9000\r\n",
        "AWS_ACCESS_KEY_ID": "AK\n",
        "AWS_SECRET_ACCESS_KEY": " SK\r\n",
        "AWS_REGION": "eu-1\n",
        "S3_ADDRESSING_STYLE": "path\n",
    }
    found = Settings.from_environment(given)
    keys = found.credentials.retrieve()
    assert (found.endpoint, found.region, keys.access_key, keys.secret_key, found.style) == (
        "http://m:9000", "eu-1", "AK", "SK", "path",
    )  # fmt: skip
    with pytest.raises(UsageError, match="AWS_SECRET_ACCESS_KEY has white space or a line break") as caught:
        Settings.from_environment({**given, "AWS_SECRET_ACCESS_KEY": "hush\nhush"})
    assert "hush" not in str(caught.value)
