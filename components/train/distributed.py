"""Trains on several pods: starts an MPIJob, follows it, and downloads its checkpoints from S3."""

import argparse
import dataclasses
import hashlib
import logging
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from components.mpijob.flags import add_pod_flags, job_of
from components.mpijob.job import TrainingJob, job_name
from components.mpijob.supervise import FailedTrainingError, NoRoomError, run_job
from components.mpijob.timeouts import Timeouts
from frcnn.errors import UsageError
from frcnn.sealing.keys import KEY_VARIABLE, masked_spec
from frcnn.steps.places import as_s3
from frcnn.storage import Store

if TYPE_CHECKING:
    from components.mpijob.cluster import Cluster
    from frcnn.spec.schema.experiment import Experiment
    from frcnn.training.result import TrainResult

log = logging.getLogger(__name__)

# Flags of `add_pod_flags`, set by the owner of the cluster. The chart stores them in a ConfigMap.
OPTIONS_VARIABLE = "FRCNN_MPIJOB_OPTIONS"
# Secrets of `pipelines.resources`, by environment variable.
SECRETS = {
    KEY_VARIABLE: ("frcnn-model-key", "key"),
    "AWS_ACCESS_KEY_ID": ("frcnn-s3", "accesskey"),
    "AWS_SECRET_ACCESS_KEY": ("frcnn-s3", "secretkey"),
    "S3_ENDPOINT": ("frcnn-s3", "endpoint"),
    "AWS_REGION": ("frcnn-s3", "region"),
}
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


@dataclasses.dataclass(frozen=True)
class Request:
    """Requested training on several pods.

    Attributes:
        spec: Experiment spec with the number of epochs set.
        records: s3:// URI of the records.
        start: s3:// URI of the Model artifact to start from; empty for none.
        epochs: Number of epochs as given; 0 keeps that of the spec.
        precision: Precision of layer computations: `fp32` or `mixed`.
        checkpoints: s3:// URI for checkpoints of this training only.
        image: Image of the pods.
        workers: Number of pods.
        least: Number of pods that suffice if the cluster has no room for all.
        gpus: Number of GPUs per pod.
    """

    spec: "Experiment"
    records: str
    start: str
    epochs: int
    precision: str
    checkpoints: str
    image: str
    workers: int
    least: int
    gpus: int

    @classmethod
    def of(cls, args: argparse.Namespace, spec: "Experiment", checkpoints: str) -> "Request":
        """Creates a request from the flags of the step.

        Args:
            args: Parsed flags.
            spec: Experiment spec with the number of epochs set.
            checkpoints: s3:// URI for checkpoints of this training; empty if it is not on S3.

        Returns:
            Request.

        Raises:
            UsageError: Data that the workers need is not on S3, or a flag is invalid.
        """
        workers = args.num_workers
        if not 0 <= args.min_workers <= workers:
            raise UsageError(f"--min-workers {args.min_workers}: expected 1 to {workers}, or 0 for all")
        if not checkpoints:
            raise UsageError(
                f"--num-workers {workers} requires --checkpoints on S3, where workers store results. Set "
                "the pipeline parameter checkpoints to s3://bucket/prefix."
            )
        if spec.enc_key and not os.environ.get(KEY_VARIABLE):
            raise UsageError(
                f"--num-workers {workers}: the spec's enc_key is not passed to workers. Store it in the "
                f"secret frcnn-model-key, which sets {KEY_VARIABLE}."
            )
        return cls(
            spec=spec,
            records=_on_s3(args.records_uri, "records", workers),
            start=args.start_from_uri and _on_s3(args.start_from_uri, "start-from", workers),
            epochs=args.epochs,
            precision=args.precision,
            checkpoints=checkpoints,
            image=args.image,
            workers=workers,
            least=args.min_workers or workers,
            gpus=args.gpus_per_worker,
        )


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
    if result is not None and result.epochs >= request.spec.training_config.num_epochs:
        log.info("%s contains the finished training", request.checkpoints)
        return result
    options = pod_options(os.environ.get(OPTIONS_VARIABLE, ""))
    store.write(_spec_uri(request), masked_spec(request.spec.text).encode())

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


def described(request: Request, options: argparse.Namespace, namespace: str) -> TrainingJob:
    """Builds the job. Equal requests have equal names, so that a restarted step joins its job.

    Args:
        request: Requested training.
        options: Flags of the pods.
        namespace: Namespace of the job.

    Returns:
        Training job.
    """
    command = ["python", "-m", "components.train.worker", "--spec", _spec_uri(request)]
    command += ["--records", request.records, "--epochs", str(request.epochs)]
    command += ["--precision", request.precision]
    command += ["--checkpoints", request.checkpoints]
    command += ["--start-from", request.start] if request.start else []
    # Workers fail at once if their GPUs are not visible. Only NVIDIA GPUs can be counted.
    if request.gpus and options.gpu_resource.startswith("nvidia.com/"):
        command += ["--gpus", str(request.gpus)]
    facts = (*command, request.image, request.workers, request.gpus, sorted(vars(options).items()))
    digest = hashlib.sha256("\0".join(map(str, facts)).encode()).hexdigest()[:16]
    job = job_of(
        options,
        name=job_name("frcnn-train", digest, workers=request.workers),
        namespace=namespace,
        image=request.image,
        training=command,
        workers=request.workers,
        gpus=request.gpus,
    )
    environment = {**plain_environment(), **job.environment}
    return dataclasses.replace(job, environment=environment, secret_environment=SECRETS)


def plain_environment() -> dict[str, str]:
    """Returns the variables of this process that its pods get, none of them secret.

    Other S3 variables are not secret: path style, certificates, timeouts. Proxies are passed on unless their
    URL contains a password, which must not be in a manifest.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if (name.startswith("S3_") and name not in SECRETS and not name.endswith("_FILE"))
        or (name.lower() in _PROXIES and "@" not in value)
    }


def pod_options(text: str) -> argparse.Namespace:
    """Parses the flags of the pods.

    Args:
        text: Flags of `add_pod_flags` as one string.

    Returns:
        Parsed flags.

    Raises:
        UsageError: A flag is unknown or lacks its value, or a quote is not closed.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{OPTIONS_VARIABLE} {text}: {error}; expected flags such as --cpu 8") from error

    class Flags(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise UsageError(f"{OPTIONS_VARIABLE}: {message}")

    flags = Flags(add_help=False, allow_abbrev=False)
    add_pod_flags(flags)
    return flags.parse_args(words)


def _spec_uri(request: Request) -> str:
    # Outside the checkpoint prefix, because everything below it is downloaded.
    return f"{request.checkpoints}.spec.txt"


def _on_s3(uri: str, flag: str, workers: int) -> str:
    """Returns the s3:// URI of an artifact, or raises `UsageError` if it is not on S3."""
    address = as_s3(uri)
    if not address:
        raise UsageError(
            f"--num-workers {workers}: --{flag} {uri or '(no URI)'} is not on S3, where workers can read it. "
            "Run the pipeline on a cluster whose artifacts are on S3, or train with one worker."
        )
    return address


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
