"""Runs a training job to its end: creates or joins it, watches it, copies its log, and cleans up."""

import contextlib
import functools
import logging
import sys
import time
from collections.abc import Callable, Iterator

from components.mpijob.api_errors import RefusedError, UnreachableError
from components.mpijob.cluster import Cluster
from components.mpijob.create import create_or_join, is_same
from components.mpijob.diagnosis import Json
from components.mpijob.job import TrainingJob
from components.mpijob.job_monitor import FailedTrainingError, JobMonitor, Watches
from components.mpijob.launcher_log import LauncherLog
from components.mpijob.manifest import Manifest, manifest
from components.mpijob.timeouts import Timeouts
from components.mpijob.validate import problems
from components.mpijob.watch import changes
from components.mpijob.watched import Watched
from frcnn.console.signals import terminate_as_interrupt
from frcnn.errors import RunError, SpecError

log = logging.getLogger(__name__)

_DEFAULTS = Timeouts()


def run_job(
    cluster: Cluster,
    job: TrainingJob,
    *,
    patience: Timeouts = _DEFAULTS,
    write: Callable[[str], None] | None = None,
) -> None:
    """Runs a training job and returns when it has succeeded.

    The job is deleted if it is abandoned, or if the step is stopped by SIGTERM or Ctrl-C. If the step is
    killed with SIGKILL, the job continues, and the restarted step joins it.

    Args:
        cluster: Namespace of the job.
        job: Training job.
        patience: Time limits of problems.
        write: Function that receives each line of the launcher's log. `None` writes to stdout.

    Raises:
        SpecError: mpi-operator would reject the job; nothing was created.
        RefusedError: The cluster rejects the job.
        FailedTrainingError: The training started and failed.
        NoRoomError: Nodes or quota do not suffice for all workers.
        UnreachableError: The API is unreachable; the job is left unchanged.
        RunError: The job did not start in time, or somebody else deleted it.
    """
    document = manifest(job)
    if found := list(problems(document)):
        raise SpecError(f"mpijob/{job.name}", found)
    with terminate_as_interrupt(), contextlib.ExitStack() as stack:
        started = None
        try:
            started = create_or_join(cluster, document)
            watches = stack.enter_context(_watching(cluster, job.name, patience))
            _follow(cluster, job, started, patience, write or _to_stdout, watches)
        except FailedTrainingError:
            _stop_pods(cluster, document, patience)
            raise
        except UnreachableError:
            raise  # a restarted step joins the job
        except RefusedError:
            if started is not None:  # otherwise this step has not created a job
                _clean_up(cluster, document)
            raise
        except (Exception, KeyboardInterrupt):
            _clean_up(cluster, document)
            raise


@contextlib.contextmanager
def _watching(cluster: Cluster, name: str, patience: Timeouts) -> Iterator[Watches]:
    pause = min(1.0, patience.interval)
    watches = Watches(
        Watched(f"pods of {name}", functools.partial(cluster.watch_pods, name), pause=pause),
        Watched(f"events of {name}", functools.partial(cluster.watch_events, name), pause=pause),
    )
    threads = (watches.pods, watches.events)
    for each in threads:
        each.start()
    try:
        yield watches
    finally:
        for each in threads:
            each.stop()


def _to_stdout(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _clean_up(cluster: Cluster, document: Manifest) -> None:
    """Deletes the job if it is this step's; a refused name may belong to another job."""
    name = document["metadata"]["name"]
    try:
        existing = cluster.get(name)
        if existing is not None and is_same(existing, document):
            cluster.delete(name)
            log.info("Deleted mpijob/%s and its pods", name)
    except RunError as error:  # the first error is the one to report
        log.warning("mpijob/%s may be left behind: %s", name, error)


def _stop_pods(cluster: Cluster, document: Manifest, patience: Timeouts) -> None:
    """Deletes a failed job whose pods still run.

    mpi-operator stops them when the launcher has ended, but not after a worker was evicted
    (kubeflow/mpi-operator#647). They would occupy their GPUs forever.
    """
    name = document["metadata"]["name"]
    until = time.monotonic() + patience.clean_up
    try:
        while any(_still_runs(pod) for pod in cluster.pods(name)):
            if time.monotonic() >= until:
                log.info("Deleting mpijob/%s: it failed, and some of its pods still run", name)
                return _clean_up(cluster, document)
            time.sleep(min(10.0, max(patience.clean_up, 0.1)))
    except RunError as error:  # the training's failure is the one to report
        log.warning("mpijob/%s may have pods that still run: %s", name, error)


def _still_runs(pod: Json) -> bool:
    active = pod.get("status", {}).get("phase") in ("Pending", "Running")
    return active and not pod["metadata"].get("deletionTimestamp")


def _follow(
    cluster: Cluster,
    job: TrainingJob,
    started: Manifest,
    patience: Timeouts,
    write: Callable[[str], None],
    watches: Watches,
) -> None:
    copy = LauncherLog(cluster, job.name, write, pods=watches.pods.items, pause=min(1.0, patience.interval))
    copy.start()
    monitor = JobMonitor(cluster, job, patience, watches)
    try:
        for current in changes(
            cluster, started, quiet=monitor.quiet_seconds, unreachable=patience.unreachable
        ):
            if monitor.has_succeeded(current):
                return
    finally:
        # After Ctrl-C, too, because the lines before it are useful.
        copy.finish(20 if monitor.ended else 1)
