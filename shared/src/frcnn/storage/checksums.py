"""MD5 as S3 uses it: the only checksum that every server verifies, for objects and for parts.

It detects accidental changes. TLS and the sealing of model files protect against attacks.
"""

import hashlib
import re
from collections.abc import Sequence

_ETAG = re.compile(r"[0-9a-f]{32}(-\d+)?")


def md5(data: bytes) -> str:
    """Computes the MD5 of bytes, as hex digits.

    Args:
        data: The bytes.
    """
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def is_md5(etag: str) -> bool:
    """Checks whether an ETag is an MD5 of the content, or of the MD5s of its parts (`...-7`).

    Args:
        etag: ETag without quotes.
    """
    return _ETAG.fullmatch(etag) is not None


def combined_etag(md5s: Sequence[str]) -> str:
    """Computes the ETag of an object that was uploaded in parts.

    Args:
        md5s: MD5 of each part (hex), in order.
    """
    return f"{md5(b''.join(map(bytes.fromhex, md5s)))}-{len(md5s)}"
