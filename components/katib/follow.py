"""Submits an Experiment, or joins it, and follows it to its end."""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping

from components.katib.experiment import METRIC
from components.mpijob.api_errors import UnreachableError
from components.mpijob.cluster import Cluster
from components.mpijob.create import condition, create_or_join
from components.mpijob.manifest import Manifest
from frcnn.errors import RunError

log = logging.getLogger(__name__)

# Seconds between requests of the Experiment's state; a trial takes minutes at least.
INTERVAL = 10.0
# Seconds for which the API may be unreachable.
PATIENCE = 900.0


@dataclasses.dataclass(frozen=True)
class Found:
    """Result of a search.

    Attributes:
        trial: Name of the best trial.
        assignments: Its parameters, as Katib reports them.
        mean_ap: Its highest validation mAP, 0 to 1.
        succeeded: Number of completed trials.
        stopped: Number of trials stopped early.
        failed: Number of trials that failed.
    """

    trial: str
    assignments: tuple[Mapping[str, str], ...]
    mean_ap: float
    succeeded: int
    stopped: int
    failed: int


def run_experiment(
    cluster: Cluster, manifest: Manifest, *, interval: float = INTERVAL, patience: float = PATIENCE
) -> Found:
    """Submits an Experiment and waits for its end. An equal one that exists is joined.

    Args:
        cluster: Namespace of Experiments.
        manifest: Experiment to submit.
        interval: Seconds between requests of its state.
        patience: Seconds for which the API may be unreachable.

    Returns:
        The best trial.

    Raises:
        RefusedError: The API or Katib's webhook refuses it, or one of this name has other settings.
        RunError: The search failed, was deleted, or had no successful trial.
        UnreachableError: The API is unreachable for longer than `patience`.
    """
    create_or_join(cluster, manifest)
    return follow(cluster, manifest["metadata"]["name"], interval=interval, patience=patience)


def follow(
    cluster: Cluster,
    name: str,
    *,
    interval: float = INTERVAL,
    patience: float = PATIENCE,
    wait: Callable[[float], None] = time.sleep,
) -> Found:
    """Waits for the end of an Experiment and logs its progress.

    Args:
        cluster: Namespace of Experiments.
        name: Name of the Experiment.
        interval: Seconds between requests of its state.
        patience: Seconds for which the API may be unreachable.
        wait: Function that waits for a number of seconds.

    Returns:
        The best trial.

    Raises:
        RunError: The search failed, was deleted, or had no successful trial.
        UnreachableError: The API is unreachable for longer than `patience`.
    """
    logged, unreachable = "", 0.0
    while True:
        try:
            current = cluster.get(name)
            unreachable = 0.0
        except UnreachableError:
            unreachable += interval
            if unreachable > patience:
                raise
            wait(interval)
            continue
        if current is None:
            raise RunError(f"experiment/{name} was deleted while it ran. Submit it again.")
        text = _progress(current)
        if text != logged:
            log.info("experiment/%s: %s", name, text)
            logged = text
        if condition(current, "Succeeded") is not None:
            return _found(current)
        if (failed := condition(current, "Failed")) is not None:
            raise RunError(
                f"experiment/{name} failed: {failed.get('message') or failed.get('reason')}. Look at the "
                f"trials: kubectl -n {cluster.namespace} get trials -l katib.kubeflow.org/experiment={name}"
            )
        wait(interval)


def _progress(current: Manifest) -> str:
    status = current.get("status", {})
    wanted = current["spec"].get("maxTrialCount", "?")
    counts = {
        "succeeded": status.get("trialsSucceeded", 0),
        "ended early": status.get("trialsEarlyStopped", 0),
        "running": status.get("trialsRunning", 0),
        "failed": status.get("trialsFailed", 0),
    }
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    best = _mean_ap(status)
    parts += [] if best is None else [f"best mAP {best:.4f}"]
    return f"{status.get('trials', 0)} of {wanted} trials" + (f": {', '.join(parts)}" if parts else "")


def _found(current: Manifest) -> Found:
    status = current.get("status", {})
    best = status.get("currentOptimalTrial", {})
    mean_ap = _mean_ap(status)
    if mean_ap is None or not best.get("parameterAssignments"):
        name = current["metadata"]["name"]
        raise RunError(
            f"experiment/{name} ended without a metric. Check that the trials print {METRIC}, and that the "
            "namespace has the label katib.kubeflow.org/metrics-collector-injection: enabled"
        )
    return Found(
        trial=best.get("bestTrialName", ""),
        assignments=tuple(best["parameterAssignments"]),
        mean_ap=mean_ap,
        succeeded=status.get("trialsSucceeded", 0),
        stopped=status.get("trialsEarlyStopped", 0),
        failed=status.get("trialsFailed", 0),
    )


def _mean_ap(status: Manifest) -> float | None:
    metrics = status.get("currentOptimalTrial", {}).get("observation", {}).get("metrics") or []
    for each in metrics:
        if each.get("name") == METRIC:
            try:
                return float(each["max"])
            except (KeyError, ValueError):  # Katib writes "unavailable"
                return None
    return None
