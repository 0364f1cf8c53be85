"""Connections to S3 servers and token services: certificates, timeouts, proxies."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from frcnn.errors import UsageError
from frcnn.limits import ANSWER_BYTES, EMPTY_PAGES

if TYPE_CHECKING:
    from urllib3 import PoolManager

CONNECT_SECONDS, READ_SECONDS = 10.0, 120.0
# The parser of the SDK accepts any prefix of a namespace, and attributes.
_UNFINISHED = re.compile(rb"<(?:[\w.-]+:)?IsTruncated\b[^>]*>\s*true\s*<", re.IGNORECASE)
_LISTED = re.compile(rb"<(?:[\w.-]+:)?(?:Contents|CommonPrefixes|Upload|Part)\b")


def proxy_for(url: str, environment: Mapping[str, str]) -> str:
    """Finds the proxy that the environment names for a URL.

    The rules are those of Go's HTTP client, which Kubeflow's launcher uses for the same server: lower-case
    variables take precedence, loopback addresses are reached directly, and NO_PROXY lists names, suffixes and
    networks.

    Args:
        url: URL of the server.
        environment: Environment variables.

    Returns:
        URL of the proxy; empty for a direct connection.

    Raises:
        UsageError: The variable is not the URL of an HTTP proxy.
    """
    parts = urlsplit(url)
    if _is_direct(parts.hostname or "", parts.netloc, _value(environment, "no_proxy")[1]):
        return ""
    name, text = _value(environment, f"{parts.scheme}_proxy")
    if not text:
        return ""
    proxy = urlsplit(text if "://" in text else f"http://{text}")
    # The value may contain a password, so messages contain only the variable's name.
    if proxy.scheme not in ("http", "https") or not proxy.hostname or not _has_valid_port(proxy):
        raise UsageError(f"{name} is not the URL of an HTTP proxy; expected http://host:port")
    return proxy.geturl()


def without_user(proxy: str) -> str:
    """Removes user and password from the URL of a proxy, for messages.

    Args:
        proxy: URL of the proxy.
    """
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def pool(proxy: str = "", ca_file: Path | None = None, **options: Any) -> "PoolManager":
    """Creates a connection pool that does not retry by itself and limits the size of answers that are kept.

    Args:
        proxy: URL of a proxy; empty for direct connections.
        ca_file: CA certificates to trust; default: certifi's.
        **options: Further arguments of `urllib3.PoolManager`.

    Returns:
        The pool.
    """
    import certifi
    import urllib3

    settings: dict[str, Any] = {
        "timeout": urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        "cert_reqs": "CERT_REQUIRED",
        "ca_certs": str(ca_file or certifi.where()),
        "retries": False,
        **options,
    }
    if not proxy:
        return _bounded(urllib3.PoolManager(**settings))
    parts = urlsplit(proxy)
    headers = None
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=user)
    return _bounded(urllib3.ProxyManager(without_user(proxy), proxy_headers=headers, **settings))


def _bounded(connections: "PoolManager") -> "PoolManager":
    """Makes a pool read at most `ANSWER_BYTES` of listings, errors and other answers that are kept whole.

    It also ends a listing whose pages stay empty: the SDK would request the next one forever.
    """
    send: Callable[..., Any] = connections.urlopen
    empty = 0

    def urlopen(method: str, url: str, *, preload_content: bool = True, **options: Any) -> Any:
        nonlocal empty
        response = send(method, url, preload_content=False, **options)
        if preload_content or response.status >= 300:
            _keep(response)
            empty = empty + 1 if _is_empty_page(response.data) else 0
            if empty > EMPTY_PAGES:
                raise ValueError(f"a listing of more than {EMPTY_PAGES} empty pages; check S3_ENDPOINT")
        return response

    connections.urlopen = urlopen  # type: ignore[method-assign, assignment]
    return connections


def _is_empty_page(answer: bytes) -> bool:
    """Checks whether an answer is a page of a listing that has no entries and is not the last one."""
    return bool(_UNFINISHED.search(answer)) and not _LISTED.search(answer)


def _keep(response: Any) -> None:
    """Reads an answer, so that `response.data` returns it; raises ValueError for one that is too long."""
    data = response.read(ANSWER_BYTES + 1, decode_content=True)
    if len(data) > ANSWER_BYTES:
        response.close()
        raise ValueError(f"an answer of more than {ANSWER_BYTES >> 20} MiB; check S3_ENDPOINT")
    response._body = data
    response.release_conn()


def _value(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    for each in (name, name.upper()):
        if text := environment.get(each, "").strip():
            return each, text
    return name.upper(), ""


def _is_direct(host: str, netloc: str, no_proxy: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    for entry in (each.strip().lower() for each in no_proxy.split(",")):
        network = _network(entry)
        if address is not None and network is not None and address in network:
            return True
        suffix = entry.removeprefix("*").lstrip(".")
        if entry == "*" or (suffix and f".{host}".endswith(f".{suffix}")) or (entry and entry == netloc):
            return True
    return False


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _has_valid_port(parts: Any) -> bool:
    try:
        return bool(parts.port is None or parts.port > 0)
    except ValueError:
        return False
