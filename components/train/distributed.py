"""Trains on several pods: starts an MPIJob, follows it, and downloads its checkpoints from S3."""

import argparse
import dataclasses
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from components.mpijob.job_monitor import FailedTrainingError, NoRoomError
from components.mpijob.supervise import run_job
from components.mpijob.timeouts import Timeouts
from components.train.worker_job import OPTIONS_VARIABLE, Request, described, pod_options, spec_uri
from frcnn.storage import Store

if TYPE_CHECKING:
    from components.mpijob.cluster import Cluster
    from frcnn.training.result import TrainResult

log = logging.getLogger(__name__)


def train_on_workers(
    request: Request,
    folder: Path,
    key: str,
    *,
    connected: "Callable[[], Cluster] | None" = None,
    patience: Timeouts | None = None,
) -> "TrainResult":
    """Trains on several pods, and downloads the checkpoints.

    If an earlier attempt of this step has finished the training, its result is only downloaded. If the
    training fails, for example because a worker is lost, it is restarted as long as it makes progress.

    Args:
        request: Requested training.
        folder: Output folder for the last and the best checkpoint, and the logs.
        key: Key of the checkpoints.
        connected: Function that connects to the cluster. `None` uses this pod's service account.
        patience: Time limits of problems. `None` uses the defaults.

    Returns:
        Result of the training.

    Raises:
        RunError: The job could not run, or failed.
        StoreError: S3 is unreachable.
    """
    from frcnn.training.resume import finished
    from frcnn.training.s3_backup import download_checkpoint

    store = Store.from_environment()

    def progress() -> "TrainResult | None":
        download_checkpoint(store, request.checkpoints, folder)
        return finished(folder, key)

    result = progress()
    if result is not None and result.epochs >= request.total_epochs:
        log.info("%s contains the finished training", request.checkpoints)
        return result
    options = pod_options(os.environ.get(OPTIONS_VARIABLE, ""))
    store.write(spec_uri(request), request.spec_text.encode())

    def reached() -> int:
        return _epochs(progress())

    cluster = (connected or _connected)()
    _run(request, options, cluster, patience or Timeouts(), _epochs(result), reached)
    return progress() or _nothing(request)


def _run(
    request: Request,
    options: argparse.Namespace,
    cluster: "Cluster",
    patience: Timeouts,
    epochs: int,
    reached: "Callable[[], int]",
) -> None:
    """Runs jobs until one has finished the training; raises the errors of `train_on_workers`.

    Args:
        request: Requested training.
        options: Flags of the pods.
        cluster: Namespace of the job.
        patience: Time limits of problems.
        epochs: Number of completed epochs.
        reached: Function that downloads the newest checkpoint and returns its number of completed epochs.
    """
    workers = request.workers
    while True:
        wanted = dataclasses.replace(request, workers=workers)
        try:
            return run_job(cluster, described(wanted, options, cluster.namespace), patience=patience)
        except NoRoomError as error:
            if not request.least <= error.fitting < workers:
                raise
            workers = error.fitting
            log.warning("%s. Continuing with %d workers, which fit into the cluster", error, workers)
        except FailedTrainingError as error:
            now = reached()
            if now <= epochs:
                raise
            workers, epochs = request.workers, now
            log.warning("%s. Restarting from epoch %d, because the job made progress", error, now)


def _epochs(result: "TrainResult | None") -> int:
    return result.epochs if result else 0


def _connected() -> "Cluster":
    from components.mpijob.cluster import Cluster
    from components.mpijob.connection import connect

    api, namespace = connect()
    return Cluster(api, namespace)


def _nothing(request: Request) -> NoReturn:
    from frcnn.errors import RunError

    raise RunError(
        f"{request.checkpoints}: the job succeeded, but there is no checkpoint. Check that this step and the "
        "workers use the same S3 server (secret frcnn-s3)."
    )
