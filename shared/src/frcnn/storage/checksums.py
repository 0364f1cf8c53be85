"""MD5 as S3 uses it: the one checksum that every server verifies on its side, for single puts and for parts.

It tells accidents, not attacks; against these there are TLS, and the sealing of model files.
"""

import hashlib
import re
from collections.abc import Sequence

_ETAG = re.compile(r"[0-9a-f]{32}(-\d+)?")


def md5(data: bytes) -> str:
    """In hex."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def is_md5(etag: str) -> bool:
    """Whether an etag can be the checksum of the bytes, or that of its parts' checksums (`...-7`)."""
    return _ETAG.fullmatch(etag) is not None


def combined_etag(md5s: Sequence[str]) -> str:
    """The etag of an object uploaded in parts with these checksums."""
    return f"{md5(b''.join(map(bytes.fromhex, md5s)))}-{len(md5s)}"
