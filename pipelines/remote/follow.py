"""Following a run to its end: states of steps as they change, and whether the outcome is good enough."""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from frcnn.errors import RunError
from pipelines.remote.connection import Connection, ServerError
from pipelines.remote.steps import RUNNING, Step, not_started, states, steps, table

log = logging.getLogger("frcnn.pipeline")

POLL_SECONDS = 10.0
# Room for a node may have to be made first.
STALLED_SECONDS = 1800.0
# A server that is upgraded is away for minutes; a run takes hours.
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
    """Waits for a run's end, says what its steps do, and prints the table of them.

    Args:
        connection: To the server.
        run_id: The run.
        known: From `pipelines.remote.steps.names`.
        poll: Seconds between two looks.
        timeout: Seconds after which waiting ends; None: never.
        stalled: Seconds after which waiting ends if nothing changes and a pod has not started; 0: never.
        sleep: For tests.
        clock: For tests.

    Raises:
        RunError: It failed, was cancelled, exported nothing, takes too long, or a pod of it does not start.
    """
    began = changed = clock()
    said: dict[str, str] = {}
    before: list[tuple[str, str]] = []
    while True:
        run = _look(connection, run_id, sleep, clock)
        found = steps(run, known)
        for step in found:
            if said.get(step.name) != step.state:
                said[step.name] = step.state
                log.info("step %s: %s", step.name, step.state.lower())
        if (run.state or RUNNING[0]) not in RUNNING:
            sys.stdout.write(table(found))
            judge(run, found)
            return
        now = states(run)
        if now != before:
            before, changed = now, clock()
        waiting = not_started(run, found)
        if timeout is not None and clock() - began >= timeout:
            more = f" {waiting}: {_causes(connection, run_id)}." if waiting else ""
            raise RunError(
                f"run {run_id} has not ended after {timeout:g} s and goes on.{more} "
                f"frcnn pipeline status {run_id} --wait follows it again"
            )
        if waiting and stalled and clock() - changed >= stalled:
            raise RunError(
                f"run {run_id}: {waiting}, for {clock() - changed:.0f} s: {_causes(connection, run_id)}. "
                f"It goes on by itself; frcnn pipeline cancel {run_id} ends it, status {run_id} --wait "
                "follows it again"
            )
        sleep(poll)


def _causes(connection: Connection, run_id: str) -> str:
    """Why a pod may not start, which the server does not tell, and how to see it."""
    namespace = connection.namespace or "kubeflow"
    return (
        "its image cannot be pulled, no node has room for it (GPUs, memory, a taint), a volume is missing, "
        f"or a quota is used up; kubectl -n {namespace} describe pods -l pipeline/runid={run_id} says which"
    )


def judge(run: Any, found: list[Step]) -> None:
    """Accepts a run that has ended if it exported a model.

    Raises:
        RunError: It did not; says why.
    """
    failed = [step for step in found if step.state == "FAILED"]
    if run.state == "CANCELED":
        raise RunError(f"run {run.run_id} was cancelled; submit it again: finished steps are reused")
    if run.state != "SUCCEEDED":
        reason = getattr(run.error, "message", "") or ""
        steps_failed = "; ".join(f"step {each.name} failed: {each.error or 'see its log'}" for each in failed)
        raise RunError(f"run {run.run_id} failed: {steps_failed or reason or 'see it in the UI'}")
    if not any(step.name == EXPORT and step.state in ("SUCCEEDED", "SKIPPED") for step in found):
        parameters = (run.runtime_config.parameters if run.runtime_config else None) or {}
        last = [step.name for step in found if step.name != "notify"][-1:] or ["none"]
        raise RunError(
            f"run {run.run_id} exported no model: a mAP gate was missed (minimum_map "
            f"{parameters.get('minimum_map', 'as in the pipeline')}; last step: {last[0]}); the metrics of "
            "its evaluate steps say by how much"
        )


def _look(
    connection: Connection, run_id: str, sleep: Callable[[float], None], clock: Callable[[], float]
) -> Any:
    """The run as it is now; a server that is away for a while is waited for."""
    began, pause = clock(), 1.0
    while True:
        try:
            return connection.ask(lambda client: client.get_run(run_id), f"run {run_id}")
        except ServerError as error:
            if not error.may_pass or clock() - began > PATIENCE_SECONDS:
                raise
            log.warning("%s; trying again", error)
        sleep(pause)
        pause = min(2 * pause, 60.0)
