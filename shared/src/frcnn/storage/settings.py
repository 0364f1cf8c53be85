"""Which S3 server is used and how, from environment variables; credentials from there or a file, only."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from frcnn.errors import UsageError

if TYPE_CHECKING:
    from minio.credentials.providers import Provider

AWS = "https://s3.amazonaws.com"
_ENDPOINT = ("S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGION = ("AWS_REGION", "AWS_DEFAULT_REGION")
_CA_FILE = ("AWS_CA_BUNDLE", "SSL_CERT_FILE")
_STYLES = ("auto", "path", "virtual")
# Servers that are not AWS take any; asking for a bucket's own region needs a right that readers may lack.
_DEFAULT_REGION = "us-east-1"


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to reach a server.

    Attributes:
        endpoint: Its URL, without a path.
        region: None asks the server for the bucket's.
        ca_file: Certificates to trust in place of the usual ones.
        style: How a bucket is named in requests, `path` or `virtual` (as part of the host's name);
            `auto`: virtual at AWS, path elsewhere.
        credentials: Where keys come from; None: requests are not signed.
        credentials_source: The same in words.
        parallel: Requests under way at once.
        patience: So many seconds without success requests are tried again after passing faults.
    """

    endpoint: str = AWS
    region: str | None = None
    ca_file: Path | None = None
    style: str = "auto"
    credentials: "Provider | None" = None
    credentials_source: str = "no credentials"
    parallel: int = 8
    patience: float = 60.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """What the environment says; docs/storage.md lists the variables.

        Raises:
            UsageError: A value that cannot be.
        """
        known = os.environ if environment is None else environment
        endpoint = _checked_endpoint(*_first(known, _ENDPOINT, AWS))
        style = known.get("S3_ADDRESSING_STYLE", "auto")
        if style not in _STYLES:
            raise UsageError(f"S3_ADDRESSING_STYLE is {style!r}; expected {', '.join(_STYLES)}")
        ca_file = _first(known, _CA_FILE)[1]
        if ca_file and not Path(ca_file).is_file():
            raise UsageError(f"{_first(known, _CA_FILE)[0]}: {ca_file}: no such file")
        credentials, source = _credentials(known)
        return cls(
            endpoint=endpoint,
            region=_first(known, _REGION)[1] or (None if is_aws(endpoint) else _DEFAULT_REGION),
            ca_file=Path(ca_file) if ca_file else None,
            style=style,
            credentials=credentials,
            credentials_source=source,
            parallel=int(_number(known, "S3_PARALLEL", cls.parallel, least=1)),
            patience=_number(known, "S3_PATIENCE_SECONDS", cls.patience, least=0),
        )


def is_aws(endpoint: str) -> bool:
    """Whether the endpoint is Amazon's own."""
    return (urlsplit(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _first(known: Mapping[str, str], names: tuple[str, ...], default: str = "") -> tuple[str, str]:
    """The first of the variables that is set and not empty, and its value."""
    return next(((name, known[name]) for name in names if known.get(name)), (names[0], default))


def _number(known: Mapping[str, str], name: str, default: float, *, least: float) -> float:
    text = known.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = least - 1
    if not least <= value < float("inf"):
        raise UsageError(f"{name} is {text!r}; expected a number, {least:g} or more")
    return value


def _checked_endpoint(name: str, text: str) -> str:
    url = urlsplit(text if "://" in text else f"http://{text}")
    if "@" in url.netloc:
        raise UsageError(f"{name} holds a user or a key; give keys by AWS_ACCESS_KEY_ID and the like")
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query:
        raise UsageError(f"{name} is {text!r}; expected a URL such as https://s3.example.com:9000")
    return f"{url.scheme}://{url.netloc}"


def _credentials(known: Mapping[str, str]) -> "tuple[Provider | None, str]":
    from minio.credentials.providers import AWSConfigProvider, StaticProvider

    pairs = (
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"),
        ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
    )
    for access, secret in pairs:
        if known.get(access) and known.get(secret):
            token = known.get("AWS_SESSION_TOKEN") if access.startswith("AWS") else None
            return StaticProvider(known[access], known[secret], token or None), f"{access} and {secret}"
        if known.get(access) or known.get(secret):
            missing = secret if known.get(access) else access
            raise UsageError(
                f"{missing} is not set, but its other half is; set both of {access} and {secret}"
            )
    named = known.get("AWS_SHARED_CREDENTIALS_FILE")
    path = Path(named) if named else Path(known.get("HOME") or "/") / ".aws" / "credentials"
    if path.is_file():
        profile = known.get("AWS_PROFILE") or "default"
        return AWSConfigProvider(str(path), profile), f"profile {profile} of {path}"
    if named:
        raise UsageError(f"AWS_SHARED_CREDENTIALS_FILE: {named}: no such file")
    return None, "no credentials"
