"""Tells a webhook how a run ended. Whatever happens here, the run's outcome stays as it is: exit code 0."""

import argparse
import http.client
import json
import logging
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

log = logging.getLogger("frcnn.step.notify")

WEBHOOK_VARIABLE = "FRCNN_WEBHOOK"
TIMEOUT_SECONDS = 10.0


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
    body = message(args.status)
    log.info("%s", body["text"])
    url = args.webhook or os.environ.get(WEBHOOK_VARIABLE, "")
    if url:
        _post(url, body)
    return 0


def message(status: str) -> dict[str, Any]:
    """What is posted: `text` for people, as chat services show it, and the same in fields for programs."""
    try:
        found = json.loads(status)
        run, state = str(found["pipelineJobResourceName"]), str(found["state"])
        error = str((found.get("error") or {}).get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        run, state, error = "unknown", "UNKNOWN", f"not understood: {status[:200]}"
    text = f"frcnn run {run.rpartition('/')[2]}: {state}{f' ({error})' if error else ''}"
    return {"text": text, "run": run, "state": state, "error": error}


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
