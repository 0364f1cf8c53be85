"""Parses streamed responses of the Kubernetes API: changes of objects, and lines of a log."""

import json
from collections.abc import Iterator
from typing import Any

import urllib3
from kubernetes.client.exceptions import ApiException

from components.mpijob.api_errors import ExpiredWatchError


def since(chosen: dict[str, Any], version: str | None) -> dict[str, Any]:
    """Selects the resource version to watch from.

    Version 0 requests the state from the server's cache, then changes. Without a version, the server would
    first confirm that its state is the newest, which it cannot do with older etcd releases.

    Args:
        chosen: Other parameters of the request.
        version: Version to start after; `None` for all existing objects first.

    Returns:
        Parameters of the request.
    """
    return {**chosen, "resource_version": "0" if version is None else version}


def changes_of(response: urllib3.response.BaseHTTPResponse) -> Iterator[tuple[str, Any]]:
    """Parses the response to a watch.

    Args:
        response: Response whose body has not been read.

    Yields:
        Tuples of the event type and the object.

    Raises:
        ExpiredWatchError: The version to start after is too old.
        ApiException, urllib3.exceptions.HTTPError: The server reported an error, or the connection broke.
    """
    for line in lines_of(response):
        event = json.loads(line)
        if event["type"] == "ERROR":
            if event["object"].get("code") == 410:
                raise ExpiredWatchError
            raise ApiException(status=event["object"].get("code"), reason=event["object"].get("message"))
        yield event["type"], event["object"]


def lines_of(response: urllib3.response.BaseHTTPResponse) -> Iterator[str]:
    """Splits a streamed response into lines, and closes it at the end.

    Args:
        response: Response whose body has not been read.

    Yields:
        Non-empty lines, decoded as UTF-8. The last one may be incomplete.
    """
    rest = b""
    try:
        for chunk in response.stream(amt=None, decode_content=False):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in whole if line)
        if rest:
            yield rest.decode("utf-8", "replace")
    finally:
        response.close()
        response.release_conn()
