"""The way to a Kubeflow Pipelines server, and what its answers mean to people."""

import argparse
import contextlib
import dataclasses
import io
import ipaddress
import json
import logging
import os
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from frcnn.errors import RunError, UsageError
from pipelines.remote import versions

log = logging.getLogger("frcnn.pipeline")

HOST_VARIABLE = "KF_PIPELINES_ENDPOINT"
NAMESPACE_VARIABLE = "KF_PIPELINES_NAMESPACE"
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"
TOKEN_FILE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
PROBE_SECONDS = 15.0

Answer = TypeVar("Answer")


@dataclasses.dataclass(frozen=True)
class Server:
    """Where Kubeflow Pipelines is, and who asks.

    Attributes:
        host: URL.
        namespace: Of the runs; empty where there is only one user.
        token_file: Holds a token, which may be exchanged at any time; None: the environment's, or none.
        ca_file: Certificates to trust, in place of the usual ones.
    """

    host: str
    namespace: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None

    def token(self) -> str:
        """The token as it is now; empty if there is none.

        Raises:
            UsageError: Its file cannot be read.
        """
        if self.token_file is None:
            return os.environ.get(TOKEN_VARIABLE, "")
        try:
            return self.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--token_file {self.token_file}: cannot be read ({error})") from error


def add_flags(flags: argparse.ArgumentParser) -> None:
    """Adds the flags that say which server."""
    group = flags.add_argument_group("the server")
    add = group.add_argument
    add("--host", metavar="URL", help=f"of Kubeflow Pipelines (default: ${HOST_VARIABLE})")
    add("--namespace", metavar="NAME", help=f"of the runs (default: ${NAMESPACE_VARIABLE}, or none)")
    add(
        "--token_file",
        type=Path,
        metavar="FILE",
        help=f"holds a bearer token (default: ${TOKEN_FILE_VARIABLE}; or ${TOKEN_VARIABLE} is one)",
    )
    add("--ca_file", type=Path, metavar="FILE", help="certificates to trust")


def server(args: argparse.Namespace) -> Server:
    """The server that flags and environment name.

    Raises:
        UsageError: None, or a URL that is none.
    """
    host = (args.host or os.environ.get(HOST_VARIABLE, "")).rstrip("/")
    if not host:
        raise UsageError(
            f"which Kubeflow? give --host or set {HOST_VARIABLE}, such as http://localhost:8080 after "
            "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80"
        )
    if urlsplit(host).scheme not in ("http", "https") or not urlsplit(host).hostname:
        raise UsageError(f"--host {host}: expected a URL that begins with http:// or https://")
    if args.ca_file is not None and not args.ca_file.is_file():
        raise UsageError(f"--ca_file {args.ca_file}: no such file")
    file = args.token_file or os.environ.get(TOKEN_FILE_VARIABLE)
    namespace = args.namespace or os.environ.get(NAMESPACE_VARIABLE, "")
    return Server(host, namespace, Path(file) if file else None, args.ca_file)


class Connection:
    """A client of a server, whose failures are ours."""

    def __init__(self, where: Server) -> None:
        """Asks the server for a sign of life first.

        Raises:
            RunError: It is not there, or refuses the token.
        """
        self.where = where
        self.release: tuple[int, ...] | None = None
        self._connect()

    def require_release(self) -> None:
        """Checks that the server is of a release that runs the pipeline; says what speaks against it.

        Raises:
            RunError: It is too old.
        """
        line, refused = versions.objection(self.release)
        if refused:
            raise RunError(f"{self.where.host}: {line} (docs/pipeline.md)")
        if line:
            log.warning("%s: %s", self.where.host, line)

    @property
    def namespace(self) -> str | None:
        """As kfp.Client wants it."""
        return self.where.namespace or None

    def ask(self, question: Callable[[Any], Answer], what: str = "") -> Answer:
        """The answer to `question(client)`; `what` names the thing that may be missing.

        Raises:
            RunError: The server refuses, or cannot be reached; says what to do.
        """
        with self._explained(what):
            try:
                return self._quietly(question)
            except self._api_error as error:
                if error.status != 401:
                    raise
            # Tokens of service accounts live for an hour, and their file is written anew in time.
            self._connect()
            return self._quietly(question)

    def _connect(self) -> None:
        self.release = versions.release(_probe(self.where))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # kfp.Client warns each time that it is made for KFP 2
            import kfp_server_api
            from kfp.client import Client

            self._api_error = kfp_server_api.ApiException
            ca_file = str(self.where.ca_file) if self.where.ca_file else None
            with self._explained(""):
                self.client = Client(
                    host=self.where.host,
                    existing_token=self.where.token() or None,
                    # Without one the client asks the server, up to five times.
                    namespace=self.where.namespace or "",
                    ssl_ca_cert=ca_file,
                    proxy=proxy_to(self.where.host) or None,
                )

    def _quietly(self, question: Callable[[Any], Answer]) -> Answer:
        # The client prints links of its own; ours say the same in all places.
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
    """What a server answered in place of what was asked for; `status` is None if it did not answer."""

    def __init__(self, message: str, status: int | None) -> None:
        """`message` is for people."""
        super().__init__(message)
        self.status = status

    @property
    def may_pass(self) -> bool:
        """Whether asking again may help."""
        return self.status is None or self.status == 429 or self.status >= 500


def proxy_to(host: str) -> str:
    """The proxy that leads to a server by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; empty for none.

    This machine itself, as after `kubectl port-forward`, is never asked for through a proxy.
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
    """Asks for a sign of life, once: kfp.Client would try for half a minute. Returns what it says."""
    import ssl

    headers = {"Authorization": f"Bearer {where.token()}"} if where.token() else {}
    request = urllib.request.Request(f"{where.host}/apis/v2beta1/healthz", headers=headers)
    context = ssl.create_default_context(cafile=str(where.ca_file) if where.ca_file else None)
    proxy = proxy_to(where.host)
    opener = urllib.request.build_opener(
        # The same way as the client's.
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
            f"{where.host}: answers, but not as Kubeflow Pipelines does (a login page?); "
            "check --host and the token",
            None,
        ) from error
    except (OSError, ValueError) as error:
        raise ServerError(_unreachable(where, getattr(error, "reason", error)), None) from error


def _unreachable(where: Server, reason: object) -> str:
    proxy = urlsplit(proxy_to(where.host)).hostname
    way = f", through the proxy {proxy}: is it to be named in NO_PROXY?" if proxy else ""
    return f"{where.host}: cannot be reached ({reason}{way}); is it up, and is its port forwarded?"


def _meaning(where: Server, status: int, detail: str, what: str) -> str:
    place = f"namespace {where.namespace}" if where.namespace else "this server"
    if status == 401:
        source = str(where.token_file) if where.token_file else f"${TOKEN_VARIABLE}"
        had = f"the token from {source}" if where.token() else "a request without a token"
        return f"{where.host} refused {had} (401): get a new one and name it with --token_file"
    if status == 403:
        return f"no right to do that in {place} (403): {detail}; another --namespace, or ask its owner"
    if status == 404 and what:
        return f"{what}: no such thing in {place}; frcnn pipeline list shows what there is"
    return f"{where.host} answered {status}{f' about {what}' if what else ''}: {detail}"


def _detail(body: str | bytes | None) -> str:
    """What an answer says in words."""
    try:
        found = json.loads(body or "")
        return str(found.get("message") or found.get("error_message") or found.get("error") or "")
    except (ValueError, AttributeError):
        return ""
