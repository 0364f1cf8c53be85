"""Tells a webhook how a run ended. Whatever happens here, the run's outcome stays as it is: exit code 0."""

import argparse
import http.client
import json
import logging
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from components.notify import workflow

log = logging.getLogger("frcnn.step.notify")

WEBHOOK_VARIABLE = "FRCNN_WEBHOOK"
TIMEOUT_SECONDS = 10.0
# The metadata store's names beside those of the API.
_STATES = {"COMPLETE": "SUCCEEDED", "CACHED": "SUCCEEDED", "CANCELLED": "CANCELED"}
_ENDS = ("SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN")
# Up to 2.16.1 also of a run that exported a model.
_NOT_TOLD = "Kubeflow does not tell how; see the run"
_UNDERSCORE = re.compile("_([a-z])")


def parser() -> argparse.ArgumentParser:
    """The command line; `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="notify", description=__doc__)
    flags.add_argument("--status", required=True, metavar="JSON", help="what KFP tells of the run's end")
    flags.add_argument("--webhook", default="", help=f"URL (default: {WEBHOOK_VARIABLE}); empty: no message")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns 0."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s")
    body = message(args.status, _nodes(args.status))
    log.info("%s", body["text"])
    url = args.webhook or os.environ.get(WEBHOOK_VARIABLE, "")
    if url:
        _post(url, body)
    return 0


def message(status: str, nodes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Makes what is posted: `text` for people, as chat services show it, and the same in fields for programs.

    Args:
        status: JSON that Kubeflow Pipelines gives an exit handler.
        nodes: What `workflow.nodes_of` found; None if it found nothing.

    Returns:
        `text`, `run`, `state` (SUCCEEDED, FAILED, GATE_CLOSED, ENDED where nobody knows how, UNKNOWN where
        `status` is not understood) and `error` (of a run that failed).
    """
    run, state, error = _told(status)
    detail = error
    if nodes:
        found = workflow.outcome(nodes)
        state, detail = found.state, found.detail
        error = detail if state == "FAILED" else ""
    elif state not in _ENDS:
        state, detail = "ENDED", _NOT_TOLD
    text = f"frcnn run {run.rpartition('/')[2]}: {state}{f' ({detail})' if detail else ''}"
    return {"text": text, "run": run, "state": state, "error": error}


def _told(status: str) -> tuple[str, str, str]:
    """Run, state and error as Kubeflow Pipelines gives them."""
    try:
        found = _camel_case(json.loads(status))
        run, state = str(found["pipelineJobResourceName"]), str(found["state"])
        return run, _STATES.get(state, state), str((found.get("error") or {}).get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "unknown", "UNKNOWN", f"not understood: {status[:200]}"


def _nodes(status: str) -> dict[str, Any] | None:
    run, state, _ = _told(status)
    if state == "UNKNOWN" or not run or "KUBERNETES_SERVICE_HOST" not in os.environ:
        return None
    try:
        return workflow.nodes_of(run.rpartition("/")[2])
    except (OSError, ValueError, http.client.HTTPException) as error:
        log.info("the workflow of the run cannot be read (%s)", error)
        return None


def _camel_case(fields: dict[str, Any]) -> dict[str, Any]:
    """Spells names as clusters do: kfp's local runner writes `pipeline_job_resource_name`."""
    return {_UNDERSCORE.sub(lambda match: match[1].upper(), name): value for name, value in fields.items()}


def _post(url: str, body: dict[str, Any]) -> None:
    """The URL may hold a secret, so that only its host is logged."""
    host = "the webhook"
    try:
        parts = urlsplit(url)
        host = parts.hostname or host
        if parts.scheme not in ("http", "https"):
            raise ValueError("its URL does not begin with http:// or https://")
        data = json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            log.info("told %s", host)
    except urllib.error.HTTPError as error:
        log.warning("%s was not told: it answered %d %s", host, error.code, error.reason)
    except (OSError, ValueError, http.client.HTTPException) as error:
        log.warning("%s was not told: %s", host, error)


if __name__ == "__main__":
    sys.exit(main())
