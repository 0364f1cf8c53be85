"""Where things are kept: `s3://bucket/prefix`, or a folder."""

import dataclasses
import re

from frcnn.errors import UsageError

_SCHEME = "s3://"
# Source: S3's rules for bucket names; older, laxer ones exist, so only the characters are checked.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]+")


def is_remote(text: object) -> bool:
    """Whether `text` is the URI of something on S3 rather than a path."""
    return str(text).startswith(_SCHEME)


@dataclasses.dataclass(frozen=True)
class Address:
    """A place in a bucket. `key` has no slash at either end and is empty for the whole bucket."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> "Address":
        """The address that `s3://bucket/some/key` names.

        Raises:
            UsageError: It is no such URI.
        """
        if re.search(r"[\0-\x1f\x7f]", uri):
            raise UsageError(f"{uri!r}: has a line break or control character; expected s3://bucket/prefix")
        bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
        if not is_remote(uri) or not _BUCKET.fullmatch(bucket):
            shown = uri if "@" not in uri else f"{_SCHEME}***"  # somebody may have put a key into it
            raise UsageError(f"{shown}: expected s3://bucket/prefix")
        return cls(bucket, key.strip("/"))

    def below(self, name: str) -> str:
        """The key of `name` under this address."""
        return f"{self.key}/{name}" if self.key else name

    def __str__(self) -> str:
        """The URI."""
        return f"{_SCHEME}{self.bucket}/{self.key}".rstrip("/")
