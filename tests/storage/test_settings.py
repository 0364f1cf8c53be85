"""Settings come from the environment; keys from there or a file, and they stay out of sight."""

import datetime
import ipaddress
import logging
import os
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from minio.helpers import check_bucket_name

from frcnn.errors import StoreError, UsageError
from frcnn.storage import Store, is_remote
from frcnn.storage.address import Address
from frcnn.storage.settings import Settings
from tests.storage.files import write

KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "hush-hush"}


def test_addresses():
    assert Address.parse("s3://bucket/a/b/") == Address("bucket", "a/b")
    assert Address.parse("s3://bucket") == Address("bucket", "")
    with pytest.raises(UsageError, match="bytes that are not UTF-8"):
        Address.parse(os.fsdecode(b"s3://bucket/caf\xe9"))
    with pytest.raises(UsageError, match=r"s3://\*\*\*"):
        Address.parse("s3://user:password@bucket/a\n")
    assert str(Address("bucket", "a/b")) == "s3://bucket/a/b"
    assert Address("bucket", "").below("x") == "x"
    assert is_remote("s3://x/y") and not is_remote("/s3/x")
    for wrong in ("s3://", "s3:///key", "http://bucket/key", "s3://b@d/key", "s3://bucket/key\n"):
        with pytest.raises(UsageError, match="expected s3://bucket/prefix"):
            Address.parse(wrong)


BUCKETS = [
    "abc",
    "a.b-c",
    "Old_Bucket",
    "3d",
    "a",
    "ab",
    "x" * 63,
    "x" * 64,
    "a..b",
    "a.-b",
    "-abc",
    "abc-",
    "10.0.0.1",
    "a b",
]


@pytest.mark.parametrize("name", BUCKETS)
def test_names_of_buckets_are_those_that_the_client_accepts(name):
    try:
        check_bucket_name(name)
    except ValueError:
        with pytest.raises(
            UsageError, match=f"^s3://{name}/a: {name} cannot be the name of a bucket; expected 3"
        ):
            Address.parse(f"s3://{name}/a")
    else:
        assert Address.parse(f"s3://{name}/a").bucket == name


@pytest.mark.parametrize("name", ["S3://bucket/a", "S3:/bucket/a", "s3:bucket/a"])
def test_a_misspelled_uri_is_no_folder_of_that_name(name):
    with pytest.raises(UsageError, match="in lower case and with two slashes"):
        is_remote(name)


@pytest.mark.parametrize("key", ["a//b", "../b", "a/./b", "a/.."])
def test_a_prefix_that_servers_shorten_is_refused_before_anything_is_sent(key):
    with pytest.raises(UsageError, match="an empty part, or one called"):
        Address.parse(f"s3://bucket/{key}")


def test_the_first_endpoint_and_region_that_are_set_count():
    found = Settings.from_environment(
        {"AWS_ENDPOINT_URL": "http://other", "S3_ENDPOINT": "https://here:9000/"}
    )
    assert (found.endpoint, found.region) == ("https://here:9000", "us-east-1")
    found = Settings.from_environment({"S3_ENDPOINT": "minio:9000", "AWS_DEFAULT_REGION": "eu-1"})
    assert (found.endpoint, found.region) == ("http://minio:9000", "eu-1")
    found = Settings.from_environment({"S3_ENDPOINT": ""})
    assert (found.endpoint, found.region) == ("https://s3.amazonaws.com", None)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"S3_ENDPOINT": "ftp://x"}, "S3_ENDPOINT is 'ftp://x'; expected a URL"),
        ({"S3_ENDPOINT": "http://x/path"}, "expected a URL"),
        ({"S3_ENDPOINT": "http://me:hush-hush@x"}, "contains a user name or a key"),
        ({"S3_ADDRESSING_STYLE": "wild"}, "expected auto, path, virtual"),
        ({"AWS_CA_BUNDLE": "/none.pem"}, "AWS_CA_BUNDLE: /none.pem: no such file"),
        ({"AWS_ACCESS_KEY_ID": "AKIA"}, "AWS_SECRET_ACCESS_KEY is not set"),
        ({"MINIO_SECRET_KEY": "x"}, "MINIO_ACCESS_KEY is not set"),
        ({"AWS_SHARED_CREDENTIALS_FILE": "/none"}, "AWS_SHARED_CREDENTIALS_FILE: /none: no such file"),
        ({"S3_PARALLEL": "0"}, "S3_PARALLEL is '0'; expected a number, 1 or more"),
        ({"S3_PATIENCE_SECONDS": "long"}, "S3_PATIENCE_SECONDS is 'long'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_tried(variables, message):
    with pytest.raises(UsageError, match=message) as caught:
        Settings.from_environment(variables)
    assert "hush" not in str(caught.value)


def test_keys_from_variables_or_a_file(tmp_path):
    file = tmp_path / "keys"
    file.write_text("[default]\naws_access_key_id=A\naws_secret_access_key=B\n[other]\naws_access_key_id=C\n")
    for variables, access, source in (
        (KEYS, "AKIA", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"MINIO_ACCESS_KEY": "M", "MINIO_SECRET_KEY": "S"}, "M", "MINIO_ACCESS_KEY and MINIO_SECRET_KEY"),
        ({"AWS_SHARED_CREDENTIALS_FILE": str(file)}, "A", f"profile default of {file}"),
    ):
        found = Settings.from_environment(variables)
        assert found.credentials.retrieve().access_key == access
        assert found.credentials_source == source
    nobody = Settings.from_environment({"HOME": str(tmp_path)})
    assert nobody.credentials is None


def test_a_profile_without_a_key_is_named(server, tmp_path, uri):
    file = tmp_path / "keys"
    file.write_text("[default]\naws_access_key_id=A\n")
    variables = {"S3_ENDPOINT": server.endpoint, "AWS_SHARED_CREDENTIALS_FILE": str(file)}
    with pytest.raises(StoreError, match="secret key does not exist in profile default"):
        Store(Settings.from_environment(variables)).list(uri)


def test_keys_are_neither_in_logs_nor_in_the_settings_nor_on_the_wire(through, link, uri, tmp_path, caplog):
    seen = []
    link.spoil_sent = lambda data: (seen.append(data), data)[1]
    store = through()
    with caplog.at_level(logging.DEBUG):
        store.publish(write(tmp_path / "folder", {"a": 10}), uri)
    told = caplog.text + repr(store.settings) + repr(vars(store)) + b"".join(seen).decode(errors="replace")
    assert "PUT /tests/" in told
    assert "minio123" not in told
    requested = [line for line in told.splitlines() if line.startswith(("PUT ", "GET ", "HEAD ", "POST "))]
    assert not [line for line in requested if "minio/" in line or "Signature" in line]


def self_signed(folder):
    """A key and a certificate for 127.0.0.1 in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


class OneObject(BaseHTTPRequestHandler):
    """Answers every HEAD and GET with the object `hello`."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.send_header("ETag", '"5d41402abc4b2a76b9719d911017c592"')
        self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"hello")

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *args):
        pass


@pytest.fixture
def secure(tmp_path):
    """Endpoint and certificate of a server with TLS."""
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = HTTPServer(("127.0.0.1", 0), OneObject)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_address[1]}", certificate
    server.shutdown()
    server.server_close()


def test_the_ca_file_decides_whom_to_trust(secure):
    endpoint, certificate = secure
    known = {"S3_ENDPOINT": endpoint, **KEYS}
    with pytest.raises(StoreError, match=r"is not trusted \(.*\); set AWS_CA_BUNDLE to the file"):
        Store(Settings.from_environment(known)).read("s3://bucket/greeting")
    trusting = Settings.from_environment({**known, "AWS_CA_BUNDLE": str(certificate)})
    assert Store(trusting).read("s3://bucket/greeting") == b"hello"
