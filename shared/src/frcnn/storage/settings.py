"""Which S3 server is used and how, from environment variables."""

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from frcnn.errors import UsageError
from frcnn.storage.credentials import find_credentials
from frcnn.storage.network import proxy_for

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
        proxy: URL of the proxy that the server is reached through; empty for none.
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
    proxy: str = dataclasses.field(default="", repr=False)  # may hold a password

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """What the environment says; docs/storage.md lists the variables.

        Raises:
            UsageError: A value that cannot be.
        """
        # Secrets made from files end with a line break, which no value here means.
        given = os.environ if environment is None else environment
        known = {name: value.strip() for name, value in given.items()}
        endpoint = _checked_endpoint(*_first(known, _ENDPOINT, AWS))
        style = known.get("S3_ADDRESSING_STYLE", "auto")
        if style not in _STYLES:
            raise UsageError(f"S3_ADDRESSING_STYLE is {style!r}; expected {', '.join(_STYLES)}")
        ca_file = _first(known, _CA_FILE)[1]
        if ca_file and not Path(ca_file).is_file():
            raise UsageError(f"{_first(known, _CA_FILE)[0]}: {ca_file}: no such file")
        region = _first(known, _REGION)[1]
        if re.search(r"\s", region):
            raise UsageError(f"{_first(known, _REGION)[0]} is {region!r}; expected one word")
        credentials, source = find_credentials(known, Path(ca_file) if ca_file else None)
        return cls(
            endpoint=endpoint,
            region=region or (None if is_aws(endpoint) else _DEFAULT_REGION),
            ca_file=Path(ca_file) if ca_file else None,
            style=style,
            credentials=credentials,
            credentials_source=source,
            parallel=int(_number(known, "S3_PARALLEL", cls.parallel, least=1)),
            patience=_number(known, "S3_PATIENCE_SECONDS", cls.patience, least=0),
            # Which way out a process has is a matter of the process, whatever server it is told of.
            proxy=proxy_for(endpoint, {**os.environ, **known}),
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
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        port = url.port
    except ValueError as error:
        shown = text if "@" not in text else "no URL"
        raise UsageError(
            f"{name} is {shown!r}: {error}; expected https://host or https://host:port"
        ) from error
    if "@" in url.netloc:
        raise UsageError(f"{name} holds a user or a key; give keys by AWS_ACCESS_KEY_ID and the like")
    if port == 0 or re.search(r"\s", text):
        raise UsageError(f"{name} is {text!r}; expected a URL such as https://s3.example.com:9000")
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query:
        raise UsageError(f"{name} is {text!r}; expected a URL such as https://s3.example.com:9000")
    return f"{url.scheme}://{url.netloc}"
