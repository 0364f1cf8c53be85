"""Turns errors of S3 servers and networks into messages with advice; marks transient errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from frcnn.errors import StoreError
from frcnn.files import is_disk_full, no_space_text
from frcnn.storage.network import without_user

if TYPE_CHECKING:
    from frcnn.storage.settings import Settings

# Error codes after which the same request may succeed. BadDigest: bytes were changed in transit.
_PASSING = frozenset(
    {
        "BadDigest",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "TooManyRequests",
        "XMinioServerNotInitialized",
    }
)
_REFUSED = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "AuthorizationHeaderMalformed",
)
_AGAIN = "then run the same command again to resume"


class TransientError(Exception):
    """Transient error: another attempt may succeed."""

    def __init__(self, text: str, hint: str) -> None:
        """Creates the error.

        Args:
            text: Address and error.
            hint: Advice for the user.
        """
        super().__init__(text)
        self._hint = hint

    def final(self, seconds: float) -> StoreError:
        """Returns the error to raise once retries have failed.

        Args:
            seconds: Duration of the retries, s.
        """
        return StoreError(f"{self} (tried for {seconds:.0f} s); {self._hint}, {_AGAIN}")


class MissingError(StoreError):
    """Object that does not exist."""


class DamagedError(StoreError):
    """Object whose bytes do not match its checksum."""


class ChangedError(StoreError):
    """Object that was replaced since it was listed."""


@contextmanager
def translated(settings: "Settings", where: str, doing: str) -> Iterator[None]:
    """Turns errors of the SDK and the network into errors of this package within the block.

    Args:
        settings: Settings of the server.
        where: URI of the object.
        doing: Verb for messages, such as "read".

    Raises:
        StoreError: The request failed. The message gives address, reason and advice.
        TransientError: Another attempt may succeed.
    """
    from xml.etree.ElementTree import ParseError

    import urllib3
    from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

    try:
        yield
    except S3Error as error:
        raise (
            _of_region(settings, where, error)
            or _of_code(settings, where, doing, error.code or "", error.message or "")
        ) from error
    except ParseError as error:
        raise not_s3(settings, where) from error
    except ServerError as error:
        raise _of_status(settings, where, error.status_code) from error
    except InvalidResponseError as error:
        raise _of_page(settings, where, error) from error
    except urllib3.exceptions.SSLError as error:
        raise _of_tls(settings, where, error) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _of_network(settings, where, error) from error
    except (MinioException, ValueError) as error:
        raise StoreError(f"{where}: cannot {doing} it on {settings.endpoint} ({error})") from error


def _of_code(settings: "Settings", where: str, doing: str, code: str, message: str) -> Exception:
    server, source = settings.endpoint, settings.credentials_source
    if code in ("NoSuchKey", "NoSuchUpload", "NoSuchVersion"):
        return MissingError(f"{where}: does not exist; check the URI (frcnn store ls lists what exists).")
    if code == "PreconditionFailed":
        return ChangedError(f"{where}: was replaced while being read. Run again to read the new version.")
    if code == "NoSuchBucket":
        return StoreError(f"{where}: {server} has no such bucket; correct the URI, or create the bucket.")
    if code in _REFUSED:
        return StoreError(
            f"{where}: {server} does not accept the credentials ({code}), taken from {source}; correct them."
        )
    if code == "AccessDenied" and settings.credentials is None:
        return StoreError(
            f"{where}: {server} requires credentials to {doing} it, and there are none; set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE."
        )
    if code == "AccessDenied":
        return StoreError(
            f"{where}: {server} does not allow these credentials ({source}) to {doing} it; "
            f"use others, or have the right to {doing} added."
        )
    if code == "RequestTimeTooSkewed":
        return StoreError(f"{where}: {server} reports that this machine's clock is wrong. Set the clock.")
    if code in _PASSING:
        return TransientError(f"{where}: {server} responds with {code}", "check the server's logs")
    return StoreError(f"{where}: cannot {doing} it: {server} responds with {code} ({message})")


def not_s3(settings: "Settings", where: str) -> StoreError:
    """Returns the error for a response that is not S3's, such as a login page with status 200.

    Args:
        settings: Settings of the server.
        where: URI of the object.
    """
    through = f" or the proxy {without_user(settings.proxy)}" if settings.proxy else ""
    return StoreError(
        f"{where}: {settings.endpoint}{through} responds with something other than S3, such as a login page; "
        "check S3_ENDPOINT. It must be the address of the S3 API, not of a web console."
    )


_REGION_CODES = (
    "AuthorizationHeaderMalformed", "BadRequest", "IllegalLocationConstraintException", "InvalidRegion",
    "PermanentRedirect", "Redirect", "TemporaryRedirect",
)  # fmt: skip
_REGION = re.compile(r"(?:expecting|use region) '?([a-z][a-z0-9-]*[a-z0-9])")


def _of_region(settings: "Settings", where: str, error: Any) -> StoreError | None:
    """Returns the error for a bucket in another region than the signature's; `None` for others."""
    if error.code not in _REGION_CODES:
        return None
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    found = _REGION.search(error.message or "")
    region = headers.get("x-amz-bucket-region") or (found[1] if found else "")
    if not region and "region" not in (error.message or "").lower() and "Redirect" not in error.code:
        return None
    told = f"AWS_REGION is {settings.region}" if settings.region else "AWS_REGION is not set"
    hint = f"set AWS_REGION to {region}" if region else "set AWS_REGION to the bucket's region"
    return StoreError(
        f"{where}: the bucket is in another region than requests are signed for ({told}); {hint}"
    )


def _of_tls(settings: "Settings", where: str, error: Exception) -> StoreError:
    reason = _reason(error)
    if "WRONG_VERSION_NUMBER" in str(error) or "record layer failure" in str(error).lower():
        return StoreError(
            f"{where}: {settings.endpoint} does not speak TLS ({reason}); begin S3_ENDPOINT with http://"
        )
    return StoreError(
        f"{where}: {settings.endpoint} is not trusted ({reason}); "
        "set AWS_CA_BUNDLE to the file with the certificate of its CA."
    )


def _of_network(settings: "Settings", where: str, error: Exception) -> Exception:
    reason = _reason(error)
    if not settings.proxy:
        return TransientError(
            f"{where}: cannot reach {settings.endpoint} ({reason})",
            "check S3_ENDPOINT and whether the server is running",
        )
    proxy = without_user(settings.proxy)
    text = f"{where}: cannot reach {settings.endpoint} through the proxy {proxy} ({reason})"
    if "407" in reason:
        return StoreError(f"{text}; put user and password into the proxy's URL")
    return TransientError(text, "check HTTP_PROXY and HTTPS_PROXY, or list the server in NO_PROXY")


@contextmanager
def disk_full_named(where: str) -> Iterator[None]:
    """Names the place in the error for a full disk, which the errors of `write` do not.

    Args:
        where: File or folder that is written.

    Raises:
        StoreError: The disk is full.
    """
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise StoreError(no_space_text(error, where)) from error
        raise


def _of_page(settings: "Settings", where: str, error: Any) -> Exception:
    """Returns the error for a response that is not XML."""
    if "HTTPS server" in (error._body or ""):
        return StoreError(f"{where}: {settings.endpoint} requires TLS; begin S3_ENDPOINT with https://")
    return _of_status(settings, where, error._code)


def _of_status(settings: "Settings", where: str, status: int) -> Exception:
    text = f"{where}: {settings.endpoint} responds with HTTP status {status}"
    if status >= 500 or status in (408, 429):
        return TransientError(text, "check the server's logs")
    through = ""
    if settings.proxy:
        through = (
            f", or list the server in NO_PROXY: the proxy {without_user(settings.proxy)} may have responded"
        )
    return StoreError(f"{text}, which S3 does not; check S3_ENDPOINT{through}.")


def _reason(error: BaseException) -> str:
    """Returns the innermost reason of an error; urllib3 wraps errors and repeats their text."""
    inner: object = error
    while True:
        deeper = getattr(inner, "reason", None) or getattr(inner, "__cause__", None)
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror.lower()
    return str(inner).split(": ", 1)[-1][:200] or type(inner).__name__
