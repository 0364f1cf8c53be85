"""Addresses of stored data: `s3://bucket/prefix`, or a folder."""

import dataclasses
import re

from frcnn.errors import UsageError

_SCHEME = "s3://"
_MISSPELLED = re.compile(r"S3:|s3:(?!/)")
# Source: S3's naming rules, with the upper case and underscores of old buckets, as the client accepts them.
_BUCKET = re.compile(r"(?!.*(\.\.|\.-|-\.))[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_ADDRESS_OF_A_HOST = re.compile(r"[0-9]+(\.[0-9]+){3}")


def is_remote(text: object) -> bool:
    """Checks whether a value is an S3 URI rather than a path.

    Args:
        text: Path or URI.

    Raises:
        UsageError: It is a misspelled URI, such as `S3://bucket`.
    """
    name = str(text)
    if name.startswith(_SCHEME):
        return True
    if _MISSPELLED.match(name):  # as a path it would become a folder called `S3:`
        raise UsageError(f"{name}: expected s3://bucket/prefix, in lower case and with two slashes")
    return False


@dataclasses.dataclass(frozen=True)
class Address:
    """Address in a bucket.

    Attributes:
        bucket: Name of the bucket.
        key: Key prefix without slashes at either end; empty for the whole bucket.
    """

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> "Address":
        """Parses an S3 URI.

        Args:
            uri: URI such as `s3://bucket/some/key`.

        Returns:
            The address.

        Raises:
            UsageError: `uri` is not an S3 URI, names no possible bucket, or contains control characters or
                bytes that are not UTF-8.
        """
        shown = uri if "@" not in uri else f"{_SCHEME}***"  # it may contain a secret key
        if re.search("[\0-\x1f\x7f\ud800-\udfff]", uri):
            raise UsageError(
                f"{shown!r} has a line break, a control character or bytes that are not UTF-8; "
                "expected s3://bucket/prefix"
            )
        bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
        if not is_remote(uri) or not bucket or "@" in uri:
            raise UsageError(f"{shown}: expected s3://bucket/prefix")
        if not _BUCKET.fullmatch(bucket) or _ADDRESS_OF_A_HOST.fullmatch(bucket):
            raise UsageError(
                f"{uri}: {bucket} cannot be the name of a bucket; expected 3 to 63 letters, digits, hyphens "
                "and single dots, with a letter or digit at both ends"
            )
        key = key.strip("/")
        if key and not {"", ".", ".."}.isdisjoint(key.split("/")):
            raise UsageError(f"{uri}: the prefix has an empty part, or one called . or ..; leave it out")
        return cls(bucket, key)

    def below(self, name: str) -> str:
        """Returns the key of an object below this address.

        Args:
            name: Name relative to this address.
        """
        return f"{self.key}/{name}" if self.key else name

    def __str__(self) -> str:
        """Formats the address as a URI."""
        return f"{_SCHEME}{self.bucket}/{self.key}".rstrip("/")
