"""Connection to a Kubeflow Pipelines server, and explanations of its errors."""

import contextlib
import io
import ipaddress
import json
import logging
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from frcnn.errors import RunError
from pipelines.remote import versions
from pipelines.remote.server import TOKEN_VARIABLE, Server

log = logging.getLogger("frcnn.pipeline")

PROBE_SECONDS = 15.0

Answer = TypeVar("Answer")


class Connection:
    """Client of a server that raises this project's errors."""

    def __init__(self, where: Server) -> None:
        """Connects after a single health check of the server.

        Args:
            where: Server.

        Raises:
            RunError: The server is unreachable or rejects the token.
        """
        self.where = where
        self.release: tuple[int, ...] | None = None
        self._connect()

    def require_release(self) -> None:
        """Checks that the server's release can run the pipeline; warns about untested releases.

        Raises:
            RunError: The release is too old.
        """
        line, refused = versions.compatibility(self.release)
        if refused:
            raise RunError(f"{self.where.host}: {line} (docs/pipeline.md)")
        if line:
            log.warning("%s: %s", self.where.host, line)

    @property
    def namespace(self) -> str | None:
        """Namespace in the form that kfp.Client expects: `None` for none."""
        return self.where.namespace or None

    def ask(self, question: Callable[[Any], Answer], what: str = "") -> Answer:
        """Sends a request, and repeats it with a new token if the old one has expired.

        Args:
            question: Function that calls the given kfp.Client.
            what: Name of the requested object, for the message if it does not exist.

        Returns:
            Result of `question`.

        Raises:
            RunError: The server refuses the request or is unreachable; the message suggests a remedy.
        """
        with self._explained(what):
            try:
                return self._quietly(question)
            except self._api_error as error:
                if error.status != 401:
                    raise
            # Service account tokens expire after an hour; their file is updated before that.
            self._connect()
            return self._quietly(question)

    def _connect(self) -> None:
        self.release = versions.release(_probe(self.where))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # kfp.Client warns on every use that it is for KFP 2
            import kfp_server_api
            from kfp.client import Client

            self._api_error = kfp_server_api.ApiException
            ca_file = str(self.where.ca_file) if self.where.ca_file else None
            with self._explained(""):
                self.client = Client(
                    host=self.where.host,
                    existing_token=self.where.token() or None,
                    # Without a namespace, the client queries the server up to five times.
                    namespace=self.where.namespace or "",
                    ssl_ca_cert=ca_file,
                    proxy=_proxy_to(self.where.host) or None,
                )

    def _quietly(self, question: Callable[[Any], Answer]) -> Answer:
        # Suppress the client's own links; ours are the same everywhere.
        with contextlib.redirect_stdout(io.StringIO()):
            return question(self.client)

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        import urllib3.exceptions

        try:
            yield
        except self._api_error as error:
            detail = _detail(error.body) or str(error.reason)
            raise ServerError(_meaning(self.where, error.status, detail, what), error.status) from error
        except urllib3.exceptions.HTTPError as error:
            raise ServerError(_unreachable(self.where, error), None) from error


class ServerError(RunError):
    """The server responded with an error, or is unreachable.

    Attributes:
        status: HTTP status code. `None` if the server did not respond.
    """

    def __init__(self, message: str, status: int | None) -> None:
        """Creates the error.

        Args:
            message: Message for the user.
            status: HTTP status code. `None` if the server did not respond.
        """
        super().__init__(message)
        self.status = status

    @property
    def may_pass(self) -> bool:
        """Returns whether a retry may succeed."""
        return self.status is None or self.status == 429 or self.status >= 500


def _proxy_to(host: str) -> str:
    """Returns the proxy for a server by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; empty for none.

    This machine itself, as after `kubectl port-forward`, is always accessed without a proxy.
    """
    parts = urlsplit(host)
    name = parts.hostname or ""
    if _is_this_machine(name) or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all") or ""
    return found if not found or "://" in found else f"http://{found}"


def _is_this_machine(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _probe(where: Server) -> Mapping[str, Any]:
    """Returns the health check after one attempt; kfp.Client would retry for half a minute."""
    import ssl

    headers = {"Authorization": f"Bearer {where.token()}"} if where.token() else {}
    request = urllib.request.Request(f"{where.host}/apis/v2beta1/healthz", headers=headers)
    context = ssl.create_default_context(cafile=str(where.ca_file) if where.ca_file else None)
    proxy = _proxy_to(where.host)
    opener = urllib.request.build_opener(
        # Use the same proxy as the client.
        urllib.request.ProxyHandler({urlsplit(where.host).scheme: proxy} if proxy else {}),
        urllib.request.HTTPSHandler(context=context),
    )
    try:
        with opener.open(request, timeout=PROBE_SECONDS) as answer:
            found = json.load(answer)
            return found if isinstance(found, dict) else {}
    except urllib.error.HTTPError as error:
        with error:
            detail = _detail(error.read().decode("utf-8", "replace"))
        raise ServerError(_meaning(where, error.code, detail or error.reason, ""), error.code) from error
    except json.JSONDecodeError as error:
        raise ServerError(
            f"{where.host} responds, but not like Kubeflow Pipelines (perhaps with a login page). "
            "Check --host and the token.",
            None,
        ) from error
    except (OSError, ValueError) as error:
        raise ServerError(_unreachable(where, getattr(error, "reason", error)), None) from error


def _unreachable(where: Server, reason: object) -> str:
    proxy = urlsplit(_proxy_to(where.host)).hostname
    way = f", through the proxy {proxy}; add the host to NO_PROXY if it is local" if proxy else ""
    return f"{where.host} is unreachable ({reason}{way}). Check that it is up and its port is forwarded."


def _meaning(where: Server, status: int, detail: str, what: str) -> str:
    place = f"namespace {where.namespace}" if where.namespace else "this server"
    if status == 401:
        source = str(where.token_file) if where.token_file else f"${TOKEN_VARIABLE}"
        had = f"the token from {source}" if where.token() else "a request without a token"
        return f"{where.host} rejected {had} (401). Get a new token and pass it with --token_file."
    if status == 403:
        return (
            f"no permission in {place} (403): {detail}. Use another --namespace, or ask its owner for access."
        )
    if status == 404 and what:
        return f"{what} does not exist in {place}. List runs and schedules with frcnn pipeline list."
    return f"{where.host} responded with {status}{f' for {what}' if what else ''}: {detail}"


def _detail(body: str | bytes | None) -> str:
    """Returns the message of an error response; empty if there is none."""
    try:
        found = json.loads(body or "")
        return str(found.get("message") or found.get("error_message") or found.get("error") or "")
    except (ValueError, AttributeError):
        return ""
