"""Storage backend for a bucket, based on the `minio` SDK. The SDK's retries are off; see `retry`."""

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from frcnn.errors import StoreError
from frcnn.limits import LISTED_KEYS, OBJECT_BYTES, REPEATED_KEYS
from frcnn.storage.address import Address
from frcnn.storage.backend import Entry, Upload
from frcnn.storage.checksums import combined_etag, is_md5
from frcnn.storage.faults import ChangedError, MissingError, TransientError, not_s3, translated
from frcnn.storage.multipart import Multipart, plain
from frcnn.storage.network import pool
from frcnn.storage.settings import Settings

if TYPE_CHECKING:
    from minio import Minio

log = logging.getLogger(__name__)

# Timeout for sending a whole piece; enough for a slow connection.
SEND_SECONDS = 900.0


class S3Backend:
    """Storage backend for the objects below one address."""

    lists_checksums = True

    def __init__(self, client: "Minio", settings: Settings, address: Address) -> None:
        """Creates a backend.

        Args:
            client: Client as created by `connect`.
            settings: Settings of the server.
            address: Address of the objects.
        """
        self._client: Any = client
        self._settings = settings
        self._address = address
        self._bucket = address.bucket
        self._parts = Multipart(client, address.bucket)

    def where(self, name: str = "") -> str:
        """Returns `s3://bucket/key`."""
        return f"{self._address}/{name}" if name else str(self._address)

    def check(self) -> None:
        """Lists the first object: some servers silently create a bucket on the first write."""
        with self._request("", "list"):
            next(iter(self._client.list_objects(self._bucket, prefix=self._key(""))), None)

    def entries(self, below: str = "") -> list[Entry]:
        """Lists recursively, a thousand keys per request."""
        prefix = self._key(f"{below}/" if below else "")
        start, repeated, folders = len(self._key("")), 0, 0
        entries: dict[str, Entry] = {}
        with self._request(below, "list"):
            for each in self._client.list_objects(self._bucket, prefix=prefix, recursive=True):
                key = each.object_name
                repeated += key in entries
                self._check_listing(key, prefix, len(entries) + folders, repeated)
                if key.endswith("/"):
                    folders += 1  # some servers also list empty folders
                    continue
                entries[key] = Entry(key[start:], self._size(key, each.size), plain(each.etag))
        return list(entries.values())

    def stat(self, name: str) -> Entry:
        """Reads size and ETag by HEAD; if it is refused, lists the bucket to find out why."""
        try:
            with self._request(name, "read"):
                found = self._client.stat_object(self._bucket, self._key(name))
        except MissingError:
            raise
        except StoreError:
            self.check()
            raise
        if not found.etag:
            raise not_s3(self._settings, self.where(name))
        return Entry(name, self._size(self._key(name), found.size), plain(found.etag))

    def read(self, name: str, offset: int, length: int, etag: str = "") -> bytes:
        """Reads a range by GET, with If-Match if `etag` is given."""
        headers = {"If-Match": f'"{etag}"'} if etag else None
        with self._request(name, "read"):
            answer = self._client.get_object(
                self._bucket, self._key(name), offset=offset, length=length, request_headers=headers
            )
            try:
                # One extra byte detects a response that is too long.
                data: bytes = answer.read(length + 1)
            finally:
                answer.close()
                answer.release_conn()
        if len(data) != length:
            raise TransientError(
                f"{self.where(name)}: received {len(data)} bytes instead of {length}",
                "check the server's logs",
            )
        return data

    def write(self, name: str, data: bytes, md5: str) -> None:
        """Writes by PUT with Content-MD5."""
        with self._request(name, "write"):
            etag = self._parts.put(self._key(name), data, md5)
        self._compare(name, etag, md5)

    def swap(self, name: str, data: bytes, md5: str, previous: Entry | None, previous_md5: str) -> None:
        """Writes by PUT with If-Match, or with If-None-Match if there was no object."""
        condition = {"If-Match": f'"{previous.etag}"'} if previous else {"If-None-Match": "*"}
        try:
            with self._request(name, "write"):
                self._parts.put(self._key(name), data, md5, condition)
        except MissingError as error:  # some servers respond so if the object to match is gone
            raise ChangedError(str(error)) from error
        except StoreError as error:
            if getattr(error.__cause__, "code", "") != "NotImplemented":
                raise
            log.warning(
                "%s: %s does not support conditional writes; simultaneous publications may get lost",
                *(self.where(name), self._settings.endpoint),
            )
            self.write(name, data, md5)

    def remove(self, names: Iterable[str]) -> None:
        """Removes objects by bulk deletion."""
        from minio.deleteobjects import DeleteObject

        with self._request("", "remove objects from"):
            doomed = [DeleteObject(self._key(name)) for name in names]
            faults = [each.code for each in self._client.remove_objects(self._bucket, doomed)]
        refused = [code for code in faults if code != "NoSuchKey"]
        if refused:
            raise StoreError(f"{self.where()}: cannot remove objects ({refused[0]}). Check the policy.")

    def begin(self, name: str) -> Upload:
        """Resumes the newest unfinished upload of the key, or begins a new one."""
        key = self._key(name)
        with self._request(name, "write"):
            found = self._parts.newest(key)
            return Upload(*found) if found else Upload(self._parts.begin(key), {})

    def part(self, name: str, upload: Upload, number: int, offset: int, data: bytes, md5: str) -> None:
        """Uploads a part by UploadPart with Content-MD5."""
        with self._request(name, "write"):
            etag = self._parts.part(self._key(name), upload.id, number, data, md5)
        self._compare(name, etag, md5)
        upload.parts[number] = etag

    def complete(self, name: str, upload: Upload, md5s: Sequence[str]) -> None:
        """Joins the parts by CompleteMultipartUpload; recognizes a completed earlier attempt."""
        etags = [upload.parts[number] for number in range(1, len(md5s) + 1)]
        expected = combined_etag(md5s)
        with self._request(name, "write"):
            try:
                etag = self._parts.complete(self._key(name), upload.id, etags)
            except Exception as error:
                if getattr(error, "code", "") != "NoSuchUpload":
                    raise
                etag = self.stat(name).etag
        if is_md5(etag) and etag != expected:
            raise StoreError(f"{self.where(name)}: arrived damaged. Publish again.")

    def abandon(self) -> None:
        """Does nothing: interrupted uploads are resumed."""

    def part_bytes(self, entry: Entry) -> int:
        """Returns the size of part 1 if it is consistent with the number of parts, or else 0."""
        count = int(entry.etag.partition("-")[2] or 0)
        if not is_md5(entry.etag) or not count:
            return 0
        try:
            with self._request(entry.name, "read"):
                found = self._client.stat_object(
                    self._bucket, self._key(entry.name), extra_query_params={"partNumber": "1"}
                )
        except MissingError:
            raise
        except StoreError:
            return 0  # not every server returns parts of complete objects
        size = int(found.size or 0)
        return size if size and -(-entry.size // size) == count else 0

    def _compare(self, name: str, etag: str | None, md5: str) -> None:
        """Compares an ETag if it is a checksum; encrypting servers check only Content-MD5."""
        found = plain(etag)
        if is_md5(found) and "-" not in found and found != md5:
            raise TransientError(f"{self.where(name)}: arrived damaged", "check the network")

    def _check_listing(self, key: str, prefix: str, count: int, repeated: int) -> None:
        """Refuses a key that was not asked for, and a listing that does not end."""
        if not key.startswith(prefix):
            fault = f"lists {key!r:.300}, which does not begin with {prefix!r:.300}"
        elif count >= LISTED_KEYS:
            fault = f"lists more than {LISTED_KEYS} keys"
        elif repeated > REPEATED_KEYS:
            fault = f"lists {key!r:.300} and other keys again and again"
        else:
            return
        raise StoreError(f"{self.where()}: {self._settings.endpoint} {fault}. Check the URI and the server.")

    def _size(self, key: str, size: int | None) -> int:
        """Returns the size of an object; refuses one that no object has."""
        if not 0 <= (size or 0) <= OBJECT_BYTES:
            raise StoreError(
                f"s3://{self._bucket}/{key}: {self._settings.endpoint} reports a size of {size:.4g} bytes; "
                f"expected 0 to {OBJECT_BYTES:.4g}. Check the server."
            )
        return size or 0

    def _key(self, name: str) -> str:
        return self._address.below(name)

    def _request(self, name: str, doing: str) -> Any:
        return translated(self._settings, self.where(name), doing)


def connect(settings: Settings) -> "Minio":
    """Creates a client without retries, with a connection for every parallel request.

    Args:
        settings: Settings of the server.

    Returns:
        The client.
    """
    from minio import Minio

    url = urlsplit(settings.endpoint)
    # Enough for two simultaneous transfers.
    connections = pool(settings.proxy, settings.ca_file, maxsize=2 * settings.parallel)
    connections.pool_classes_by_scheme = _patient_senders()
    client = Minio(
        url.netloc,
        secure=url.scheme == "https",
        region=settings.region,
        http_client=connections,
        credentials=settings.credentials,
    )
    if settings.style == "virtual":
        client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    elif settings.style == "path":
        client.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    return client


def _patient_senders() -> dict[str, Any]:
    """Returns connection classes with a longer send timeout than urllib3's connect timeout."""
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    def patient(pool: type, connection: Any) -> type:
        def connect(self: Any) -> None:
            connection.connect(self)
            self.sock.settimeout(SEND_SECONDS)

        sender = type(f"Patient{connection.__name__}", (connection,), {"connect": connect})
        return type(f"Patient{pool.__name__}", (pool,), {"ConnectionCls": sender})

    return {
        "http": patient(HTTPConnectionPool, HTTPConnection),
        "https": patient(HTTPSConnectionPool, HTTPSConnection),
    }
