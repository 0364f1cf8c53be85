"""Address of a Kubeflow Pipelines server, and credentials, from flags and environment."""

import argparse
import dataclasses
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from frcnn.errors import UsageError

HOST_VARIABLE = "KF_PIPELINES_ENDPOINT"
NAMESPACE_VARIABLE = "KF_PIPELINES_NAMESPACE"
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"
TOKEN_FILE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
# Name of a namespace.
NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Server:
    """Address of Kubeflow Pipelines, and credentials.

    Attributes:
        host: URL of the server.
        namespace: Namespace of the runs; empty on a single-user server.
        token_file: File with a token that may be rotated at any time. `None`: use the environment variable,
            if it is set.
        ca_file: CA certificates to trust instead of the default ones.
    """

    host: str
    namespace: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None

    def token(self) -> str:
        """Returns the current token; empty if there is none.

        Raises:
            UsageError: The token file cannot be read.
        """
        if self.token_file is None:
            return os.environ.get(TOKEN_VARIABLE, "").strip()
        try:
            return self.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--token_file {self.token_file}: cannot read the file ({error})") from error


def add_flags(flags: argparse.ArgumentParser) -> None:
    """Adds the flags that select the server."""
    group = flags.add_argument_group("the server")
    add = group.add_argument
    add("--host", metavar="URL", help=f"URL of Kubeflow Pipelines (default: ${HOST_VARIABLE})")
    add("--namespace", metavar="NAME", help=f"namespace of runs (default: ${NAMESPACE_VARIABLE}, or none)")
    add(
        "--token_file",
        type=Path,
        metavar="FILE",
        help=f"file with a bearer token (default: ${TOKEN_FILE_VARIABLE}, or the token in ${TOKEN_VARIABLE})",
    )
    add("--ca_file", type=Path, metavar="FILE", help="CA certificates to trust")


def selected(args: argparse.Namespace) -> Server:
    """Returns the server that flags and environment select.

    Args:
        args: Parsed flags of `add_flags`.

    Returns:
        Server.

    Raises:
        UsageError: No URL is given, the URL is invalid, or a file does not exist.
    """
    host = (args.host or os.environ.get(HOST_VARIABLE, "")).strip().rstrip("/")
    if not host:
        raise UsageError(
            f"no Kubeflow server given. Use --host or set {HOST_VARIABLE}, for example to "
            "http://localhost:8080 after kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80"
        )
    if urlsplit(host).scheme not in ("http", "https") or not urlsplit(host).hostname:
        raise UsageError(f"--host {host}: expected a URL that begins with http:// or https://")
    if args.ca_file is not None and not args.ca_file.is_file():
        raise UsageError(f"--ca_file {args.ca_file}: no such file")
    file = args.token_file or os.environ.get(TOKEN_FILE_VARIABLE, "").strip()
    namespace = (args.namespace or os.environ.get(NAMESPACE_VARIABLE, "")).strip()
    if namespace and not NAME.fullmatch(namespace):
        raise UsageError(f"--namespace {namespace}: expected the name of a namespace, such as team-a")
    found = Server(host, namespace, Path(file) if file else None, args.ca_file)
    if re.search(r"[^\x21-\x7e]", found.token()):
        # Without the token: what is not a token may still be a secret.
        raise UsageError(
            f"the token from {file or f'${TOKEN_VARIABLE}'} is not one line of printable ASCII characters"
        )
    return found
