"""Requests for parts and for writes with a checksum, for which the `minio` SDK has no public API.

This is the only module that uses private methods of the SDK; `tests/storage/test_multipart.py` fails when a
new version of the SDK moves one.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minio import Minio

# Error codes for a listing of uploads if the policy forbids it or the server lacks it.
_NOT_LISTED = ("AccessDenied", "AllAccessDisabled", "MethodNotAllowed", "NotImplemented")


class Multipart:
    """Requests behind `minio.Minio.put_object`, one method per request. ETags have no quotes."""

    def __init__(self, client: "Minio", bucket: str) -> None:
        """Stores its arguments; makes no request.

        Args:
            client: Client of the server.
            bucket: Name of the bucket.
        """
        self._client: Any = client
        self._bucket = bucket

    def put(self, key: str, data: bytes, md5: str, condition: Mapping[str, str] | None = None) -> str:
        """Writes an object in one request.

        Args:
            key: Key of the object.
            data: Content.
            md5: MD5 checksum of the content, as hex digits.
            condition: Headers that make the write conditional, such as `If-Match`.

        Returns:
            ETag of the object.
        """
        headers = {**_headers(md5), **(condition or {})}
        result = self._client._put_object(self._bucket, key, data, headers)
        return plain(result.etag)

    def newest(self, key: str) -> tuple[str, dict[int, str]] | None:
        """Finds the newest unfinished upload of a key.

        Policies often forbid listing uploads; then there is nothing to resume.

        Args:
            key: Key of the object.

        Returns:
            Id of the upload and the ETags of its parts by number, from 1; `None` if there is none.
        """
        from minio.error import S3Error

        try:
            uploads = self._client._list_multipart_uploads(self._bucket, prefix=key).uploads
            mine = [each for each in uploads if each.object_name == key]
            if not mine:
                return None
            upload: str = max(mine, key=lambda each: str(each.initiated_time)).upload_id
            return upload, dict(self._parts(key, upload))
        except S3Error as error:
            if error.code in _NOT_LISTED:
                return None
            raise

    def begin(self, key: str) -> str:
        """Begins an upload.

        Args:
            key: Key of the object.

        Returns:
            Id of the upload.
        """
        upload: str = self._client._create_multipart_upload(self._bucket, key, {})
        return upload

    def part(self, key: str, upload: str, number: int, data: bytes, md5: str) -> str:
        """Uploads one part.

        Args:
            key: Key of the object.
            upload: Id of the upload.
            number: Number of the part, from 1.
            data: Content of the part.
            md5: MD5 of the part (hex).

        Returns:
            ETag of the part.
        """
        return plain(self._client._upload_part(self._bucket, key, data, _headers(md5), upload, number))

    def complete(self, key: str, upload: str, etags: Sequence[str]) -> str:
        """Joins the parts into one object.

        Args:
            key: Key of the object.
            upload: Id of the upload.
            etags: ETags of all parts, in order.

        Returns:
            ETag of the object.
        """
        from minio.datatypes import Part

        parts = [Part(number, etag) for number, etag in enumerate(etags, start=1)]
        result = self._client._complete_multipart_upload(self._bucket, key, upload, parts)
        return plain(result.etag)

    def _parts(self, key: str, upload: str) -> Iterator[tuple[int, str]]:
        marker: Any = None
        while True:
            found = self._client._list_parts(
                self._bucket, key, upload, part_number_marker=str(marker) if marker else None
            )
            for part in found.parts:
                yield part.part_number, plain(part.etag)
            marker = found.next_part_number_marker
            if not found.is_truncated or not marker:
                return


def plain(etag: str | None) -> str:
    """Returns an ETag without quotes; empty for `None`.

    Args:
        etag: ETag as sent by the server.
    """
    return (etag or "").strip('"')


def _headers(md5: str) -> dict[str, str]:
    return {
        "Content-MD5": base64.b64encode(binascii.unhexlify(md5)).decode(),
        "Content-Type": "application/octet-stream",
    }
