"""Settings of the S3 server, from environment variables."""

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
# Servers other than AWS accept any region; requesting a bucket's region needs a right that readers may lack.
_DEFAULT_REGION = "us-east-1"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a server.

    Attributes:
        endpoint: URL of the server, without a path.
        region: Region for signatures; `None` requests the bucket's region from the server.
        ca_file: CA certificates to trust instead of the default ones.
        style: Position of the bucket's name in requests: `path` or `virtual` (part of the host name);
            `auto`: virtual on AWS, otherwise path.
        credentials: Provider of keys; `None` for unsigned requests.
        credentials_source: Description of `credentials`, for messages.
        parallel: Number of parallel requests.
        patience: Maximum time to retry transient errors without any success, s.
        proxy: URL of the proxy; empty for a direct connection.
    """

    endpoint: str = AWS
    region: str | None = None
    ca_file: Path | None = None
    style: str = "auto"
    credentials: "Provider | None" = None
    credentials_source: str = "no credentials"
    parallel: int = 8
    patience: float = 60.0
    proxy: str = dataclasses.field(default="", repr=False)  # may contain a password

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Reads the settings from the environment variables listed in docs/storage.md.

        Args:
            environment: Environment variables; default: those of this process.

        Returns:
            The settings.

        Raises:
            UsageError: A value is invalid.
        """
        # Secrets created from files end with a line break that is not part of the value.
        given = os.environ if environment is None else environment
        known = {name: value.strip() for name, value in given.items()}
        endpoint = _checked_endpoint(*_first(known, _ENDPOINT, AWS))
        style = known.get("S3_ADDRESSING_STYLE") or "auto"
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
            region=region or (None if _is_aws(endpoint) else _DEFAULT_REGION),
            ca_file=Path(ca_file) if ca_file else None,
            style=style,
            credentials=credentials,
            credentials_source=source,
            parallel=int(_number(known, "S3_PARALLEL", cls.parallel, least=1)),
            patience=_number(known, "S3_PATIENCE_SECONDS", cls.patience, least=0),
            # The proxy is a property of this process, independent of where the other settings come from.
            proxy=proxy_for(endpoint, {**os.environ, **known}),
        )


def _is_aws(endpoint: str) -> bool:
    return (urlsplit(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _first(known: Mapping[str, str], names: tuple[str, ...], default: str = "") -> tuple[str, str]:
    """Returns name and value of the first variable that is set and not empty."""
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
        raise UsageError(
            f"{name} contains a user name or a key; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead."
        )
    if port == 0 or re.search(r"\s", text):
        raise UsageError(f"{name} is {text!r}; expected a URL such as https://s3.example.com:9000")
    if url.scheme not in ("http", "https") or not url.hostname or url.path.strip("/") or url.query:
        raise UsageError(f"{name} is {text!r}; expected a URL such as https://s3.example.com:9000")
    return f"{url.scheme}://{url.netloc}"
