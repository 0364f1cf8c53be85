"""Reports the outcome of a run to a webhook. The exit code is always 0, to keep that outcome."""

import argparse
import http.client
import json
import logging
import os
import re
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from components.notify import workflow

log = logging.getLogger("frcnn.step.notify")

WEBHOOK_VARIABLE = "FRCNN_WEBHOOK"
# For one wait, and for the whole request.
TIMEOUT_SECONDS, TOTAL_SECONDS = 10.0, 30.0
_MAX_REASON = 100
# As in the other steps, whose library this step does not import.
LOG_FORMAT, TIME_FORMAT = "%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"
# States of the metadata store that have other names in the API.
_STATES = {"COMPLETE": "SUCCEEDED", "CACHED": "SUCCEEDED", "CANCELLED": "CANCELED"}
_ENDS = ("SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN")
# Up to Kubeflow Pipelines 2.16.1 also for runs that exported a model.
_NOT_TOLD = "Kubeflow does not report the outcome; see the run"
# A closed gate ends a run without an error, too.
_NO_FAILURE = "no step failed; the run shows whether a model was exported"
# Chat services find mentions, links and tags in quoted names and errors. These characters only look alike.
_WITHOUT_MARKUP = str.maketrans(
    {
        "<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
        ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
        "@": "\N{FULLWIDTH COMMERCIAL AT}",
        "[": "(",
        "]": ")",
    }
)
_UNDERSCORE = re.compile("_([a-z])")


def parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line. `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="notify", description=__doc__)
    flags.add_argument("--status", required=True, metavar="JSON", help="final status of the run from KFP")
    flags.add_argument("--webhook", default="", help=f"URL to notify (default: ${WEBHOOK_VARIABLE}, or none)")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step.

    Args:
        argv: Command line arguments. `None` uses those of the process.

    Returns:
        Exit code 0.
    """
    args = parser().parse_args(argv)
    console = logging.StreamHandler()
    console.setFormatter(_OneLine(LOG_FORMAT, TIME_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[console])
    body = message(args.status, _nodes(args.status))
    log.info("%s", body["text"])
    # Secrets created from files end with a line break.
    url = args.webhook.strip() or os.environ.get(WEBHOOK_VARIABLE, "").strip()
    if url:
        _post(url, body)
    return 0


def message(status: str, nodes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Builds the message: `text` for chat services, and separate fields for programs.

    Args:
        status: JSON that Kubeflow Pipelines passes to an exit handler.
        nodes: Nodes from `workflow.nodes_of`. `None` if they are unavailable.

    Returns:
        Dict with `text` (one line without markup), `run`, `state` and `error`. The state is SUCCEEDED,
        FAILED, CANCELED, GATE_CLOSED, ENDED (unknown outcome) or UNKNOWN (`status` cannot be parsed). The
        error is empty unless the run failed.
    """
    run, state, error = _told(status)
    detail = error
    if nodes:
        found = workflow.outcome(nodes)
        state, detail = found.state, found.detail
        error = detail if state == "FAILED" else ""
    elif state not in _ENDS:
        state, detail = "ENDED", _NOT_TOLD
    elif state == "SUCCEEDED":
        detail = _NO_FAILURE
    text = f"frcnn run {run.rpartition('/')[2]}: {state}{f' ({detail})' if detail else ''}"
    return {"text": _one_line(text).translate(_WITHOUT_MARKUP), "run": run, "state": state, "error": error}


def _told(status: str) -> tuple[str, str, str]:
    """Returns run, state and error from the status of Kubeflow Pipelines."""
    try:
        found = _camel_case(json.loads(status))
        run, state = str(found["pipelineJobResourceName"]), str(found["state"])
        return run, _STATES.get(state, state), str((found.get("error") or {}).get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "unknown", "UNKNOWN", f"cannot parse the status: {status[:200]}"


def _nodes(status: str) -> dict[str, Any] | None:
    run, state, _ = _told(status)
    if state == "UNKNOWN" or not run or "KUBERNETES_SERVICE_HOST" not in os.environ:
        return None
    try:
        return workflow.nodes_of(run.rpartition("/")[2])
    except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
        log.info("Cannot read the workflow of the run (%s)", error)
        return None


def _camel_case(fields: dict[str, Any]) -> dict[str, Any]:
    """Converts names to camel case, as clusters use; kfp's local runner writes snake case."""
    return {_UNDERSCORE.sub(lambda match: match[1].upper(), name): value for name, value in fields.items()}


def _post(url: str, body: dict[str, Any]) -> None:
    """Posts the message, within a time limit for all of it: a server may send its answer byte by byte."""
    host = _host(url)
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(_answer(url, body)), daemon=True)
    thread.start()
    thread.join(TOTAL_SECONDS)
    fault = found[0] if found else f"no answer within {TOTAL_SECONDS:g} s"
    if fault:
        log.warning("Could not notify %s: %s", host, fault)
    else:
        log.info("Notified %s", host)


def _host(url: str) -> str:
    """Returns the host for messages. The rest of the URL may contain a secret."""
    try:
        return urlsplit(url).hostname or "the webhook"
    except ValueError:
        return "the webhook"


def _answer(url: str, body: dict[str, Any]) -> str:
    """Returns why the message could not be posted, without the URL; empty if it was."""
    try:
        if urlsplit(url).scheme not in ("http", "https"):
            return "the URL does not begin with http:// or https://"
        data = json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        opener = urllib.request.build_opener(_NoRedirects())
        with opener.open(request, timeout=TIMEOUT_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        if 300 <= error.code < 400:
            return f"HTTP {error.code}, a redirect, which is not followed; give the URL that it leads to"
        return f"HTTP {error.code} {error.reason[:_MAX_REASON]}"
    except (http.client.InvalidURL, ValueError):
        return "the URL is invalid"
    except http.client.HTTPException:
        return "the answer is not valid HTTP"
    except OSError as error:
        return str(error)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: that would send a GET without the message, to an address chosen by the server."""

    def redirect_request(self, *args: Any) -> None:
        return None


class _OneLine(logging.Formatter):
    """Escapes control characters, because messages quote names, errors and answers from elsewhere."""

    def format(self, record: logging.LogRecord) -> str:
        return _one_line(super().format(record))


def _one_line(text: str) -> str:
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )


if __name__ == "__main__":
    sys.exit(main())
