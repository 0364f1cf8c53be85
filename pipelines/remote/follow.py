"""Follows a run to its end: logs the states of its steps and checks the outcome."""

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from frcnn.errors import RunError
from pipelines.remote.connection import Connection, ServerError
from pipelines.remote.steps import RUNNING, Step, not_started, states, steps, table

log = logging.getLogger("frcnn.pipeline")

POLL_SECONDS = 10.0
# Long enough for an autoscaler to add a node.
STALLED_SECONDS = 1800.0
# A server is down for minutes during an upgrade, while a run takes hours.
PATIENCE_SECONDS = 900.0
EXPORT = "export"


def follow(
    connection: Connection,
    run_id: str,
    known: Mapping[str, list[str]],
    *,
    poll: float = POLL_SECONDS,
    timeout: float | None = None,
    stalled: float = STALLED_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Waits for the end of a run, logs the states of its steps, and prints a table of them.

    Args:
        connection: Connection to the server.
        run_id: Id of the run.
        known: Names of steps from `pipelines.remote.steps.names`.
        poll: Seconds between status requests.
        timeout: Seconds to wait at most. `None` sets no limit.
        stalled: Seconds to wait while nothing changes and a pod has not started. 0 sets no limit.
        sleep: Replacement of `time.sleep` for tests.
        clock: Replacement of `time.monotonic` for tests.

    Raises:
        RunError: The run failed, was canceled, exported no model, takes too long, or a pod does not start.
    """
    began = changed = clock()
    deadline = math.inf if timeout is None else began + timeout
    said: dict[str, str] = {}
    before: list[tuple[str, str]] = []
    while True:
        run = _look(connection, run_id, sleep, clock, deadline)
        found = steps(run, known)
        _log_changes(found, said)
        if (run.state or RUNNING[0]) not in RUNNING:
            sys.stdout.write(table(found))
            _judge(run, found)
            return
        now = states(run)
        if now != before:
            before, changed = now, clock()
        waiting = not_started(run, found)
        if clock() >= deadline:
            raise _too_long(connection, run_id, deadline - began, waiting)
        if waiting and stalled and clock() - changed >= stalled:
            raise _not_starting(connection, run_id, clock() - changed, waiting)
        sleep(min(poll, max(0.0, deadline - clock())))


def _log_changes(found: list[Step], said: dict[str, str]) -> None:
    """Logs steps whose state differs from the one in `said`, which is updated."""
    for step in found:
        if said.get(step.name) != step.state:
            said[step.name] = step.state
            log.info("step %s: %s", step.name, step.state.lower())


def _too_long(connection: Connection, run_id: str, seconds: float, waiting: str) -> RunError:
    more = f" {waiting}: {_causes(connection, run_id)}." if waiting else ""
    return RunError(
        f"run {run_id} has not ended after {seconds:g} s and continues.{more} "
        f"Follow it again with: frcnn pipeline status {run_id} --wait"
    )


def _not_starting(connection: Connection, run_id: str, seconds: float, waiting: str) -> RunError:
    return RunError(
        f"run {run_id}: {waiting}, for {seconds:.0f} s: {_causes(connection, run_id)}. "
        f"It continues on the server. Cancel it with frcnn pipeline cancel {run_id}, or follow it "
        f"again with frcnn pipeline status {run_id} --wait"
    )


def _causes(connection: Connection, run_id: str) -> str:
    """Lists possible causes of a pending pod, because the server does not report the cause."""
    namespace = connection.namespace or "kubeflow"
    return (
        "its image cannot be pulled, no node has room for it (GPUs, memory, a taint), a volume is missing, "
        f"or a quota is used up; see kubectl -n {namespace} describe pods -l pipeline/runid={run_id}"
    )


def _judge(run: Any, found: list[Step]) -> None:
    """Raises `RunError` with the reason unless a finished run succeeded and exported a model."""
    failed = [step for step in found if step.state == "FAILED"]
    if run.state == "CANCELED":
        raise RunError(
            f"run {run.run_id} was canceled. Submit it again to continue: finished steps are reused."
        )
    if run.state != "SUCCEEDED":
        reason = getattr(run.error, "message", "") or ""
        steps_failed = "; ".join(f"step {each.name} failed: {each.error or 'see its log'}" for each in failed)
        raise RunError(f"run {run.run_id} failed: {steps_failed or reason or 'see it in the UI'}")
    if not any(step.name == EXPORT and step.state in ("SUCCEEDED", "SKIPPED") for step in found):
        parameters = (run.runtime_config.parameters if run.runtime_config else None) or {}
        last = [step.name for step in found if step.name != "notify"][-1:] or ["none"]
        raise RunError(
            f"run {run.run_id} exported no model: a mAP gate was missed (minimum_map "
            f"{parameters.get('minimum_map', 'as in the pipeline')}; last step: {last[0]}). See the metrics "
            "of its evaluate steps. Train for longer (--epochs), or, for a trial, pass --minimum_map 0 "
            "--tolerance 1; docs/troubleshooting.md explains more causes."
        )


def _look(
    connection: Connection,
    run_id: str,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
    deadline: float,
) -> Any:
    """Returns the current run; waits while the server is unavailable, but not after the deadline."""
    began, pause = clock(), 1.0
    while True:
        try:
            return connection.ask(lambda client: client.get_run(run_id), f"run {run_id}")
        except ServerError as error:
            if not error.may_pass or clock() - began > PATIENCE_SECONDS or clock() >= deadline:
                raise
            log.warning("%s; retrying", error)
        sleep(min(pause, max(0.0, deadline - clock())))
        pause = min(2 * pause, 60.0)
