"""Training on several pods: the step starts an MPIJob, follows it, and fetches what it left on S3."""

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
from components.mpijob.supervise import FailedTrainingError, NoRoomError, Patience, run_job
from components.train.places import as_s3
from frcnn.errors import UsageError
from frcnn.sealing.keys import KEY_VARIABLE, masked_spec
from frcnn.storage import Store

if TYPE_CHECKING:
    from components.mpijob.api import Cluster
    from frcnn.spec.schema.experiment import Experiment
    from frcnn.training.trainer import TrainResult

log = logging.getLogger(__name__)

# Flags of `add_pod_flags`, as the cluster's owner set them; the chart keeps them in a ConfigMap.
OPTIONS_VARIABLE = "FRCNN_MPIJOB_OPTIONS"
# The secrets of `pipelines.resources`, by the variable that they become.
_SECRETS = {
    KEY_VARIABLE: ("frcnn-model-key", "key"),
    "AWS_ACCESS_KEY_ID": ("frcnn-s3", "accesskey"),
    "AWS_SECRET_ACCESS_KEY": ("frcnn-s3", "secretkey"),
    "S3_ENDPOINT": ("frcnn-s3", "endpoint"),
    "AWS_REGION": ("frcnn-s3", "region"),
}
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


@dataclasses.dataclass(frozen=True)
class Request:
    """A training on several pods.

    Attributes:
        spec: Its spec, with epochs set.
        records: s3:// URI that the records lie under.
        start: s3:// URI of the Model artifact to go on from; empty for none.
        epochs: As given; 0 leaves the spec's.
        precision: What layers compute in: `fp32` or `mixed`.
        checkpoints: s3:// URI of this very training, and of no other.
        image: Of the pods.
        workers: Pods.
        least: With how many of them it may go on where the cluster has no room for all.
        gpus: Of each pod.
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
        """What the step's flags ask for.

        Raises:
            UsageError: Something that workers need is not on S3.
        """
        workers = args.num_workers
        if not 0 <= args.min_workers <= workers:
            raise UsageError(f"--min-workers {args.min_workers}: expected 1 to {workers}, or 0 for all")
        if not checkpoints:
            raise UsageError(
                f"--num-workers {workers}: --checkpoints is not on S3, where the workers' result would be "
                "found; give an s3://bucket/prefix (the pipeline's parameter checkpoints)"
            )
        if spec.enc_key and not os.environ.get(KEY_VARIABLE):
            raise UsageError(
                f"--num-workers {workers}: the spec's enc_key does not reach the workers; put it into the "
                f"secret frcnn-model-key, from where it comes as {KEY_VARIABLE}"
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
    patience: Patience | None = None,
) -> "TrainResult":
    """Trains, and brings the checkpoints to `folder`.

    A training that is finished already, by an earlier attempt of this step, is only fetched. One that fails,
    as when a worker is lost, is started again as long as it gets on.

    Args:
        request: What to train.
        folder: Gets the last and the best checkpoint, and the logs.
        key: Of the checkpoints.
        connected: Gives access to the cluster; default: this pod's own.
        patience: How long troubles may last, if not as usual.

    Raises:
        RunError: The job could not run, or failed.
        StoreError: S3 is out of reach.
    """
    from frcnn.training.continued import finished
    from frcnn.training.resumable import bring_back

    store = Store.from_environment()

    def progress() -> "TrainResult | None":
        bring_back(store, request.checkpoints, folder)
        return finished(folder, key)

    result = progress()
    if result is not None and result.epochs >= request.spec.training_config.num_epochs:
        log.info("%s holds this training, finished", request.checkpoints)
        return result
    options = pod_options(os.environ.get(OPTIONS_VARIABLE, ""))
    store.write(_spec_uri(request), masked_spec(request.spec.text).encode())

    def reached() -> int:
        return _epochs(progress())

    cluster = (connected or _connected)()
    _run(request, options, cluster, patience or Patience(), _epochs(result), reached)
    return progress() or _nothing(request)


def _run(
    request: Request,
    options: argparse.Namespace,
    cluster: "Cluster",
    patience: Patience,
    epochs: int,
    reached: "Callable[[], int]",
) -> None:
    """Runs jobs until one has trained to the end; raises what `train_on_workers` does.

    Args:
        request: What to train.
        options: Of the pods.
        cluster: Where.
        patience: How long troubles may last.
        epochs: Done before.
        reached: Fetches the newest checkpoint, and says how many are done.
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
            log.warning("%s. Training goes on with the %d workers that there is room for", error, workers)
        except FailedTrainingError as error:
            now = reached()
            if now <= epochs:
                raise
            workers, epochs = request.workers, now
            log.warning("%s. It got on, so it is started again from epoch %d", error, now)


def _epochs(result: "TrainResult | None") -> int:
    return result.epochs if result else 0


def described(request: Request, options: argparse.Namespace, namespace: str) -> TrainingJob:
    """The job; equal requests give equal names, so that a step that is started again joins it."""
    command = ["python", "-m", "components.train.worker", "--spec", _spec_uri(request)]
    command += ["--records", request.records, "--epochs", str(request.epochs)]
    command += ["--precision", request.precision]
    command += ["--checkpoints", request.checkpoints]
    command += ["--start-from", request.start] if request.start else []
    # Workers that were promised GPUs and see none end at once; how to count is known of NVIDIA's only.
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
    # What else this step was told of S3 is no secret: path style, certificates, patience. Proxies are the
    # network's, unless their URL holds a password, which must not be in a manifest.
    plain = {
        name: value
        for name, value in os.environ.items()
        if (name.startswith("S3_") and name not in _SECRETS and not name.endswith("_FILE"))
        or (name.lower() in _PROXIES and "@" not in value)
    }
    return dataclasses.replace(job, environment={**plain, **job.environment}, secret_environment=_SECRETS)


def pod_options(text: str) -> argparse.Namespace:
    """What the pods are like, from flags in one text.

    Raises:
        UsageError: A flag that is not known, or without its value.
    """

    class Flags(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise UsageError(f"{OPTIONS_VARIABLE}: {message}")

    flags = Flags(add_help=False, allow_abbrev=False)
    add_pod_flags(flags)
    return flags.parse_args(shlex.split(text))


def _spec_uri(request: Request) -> str:
    # Beside the training's own files, all of which are brought back.
    return f"{request.checkpoints}.spec.txt"


def _on_s3(uri: str, flag: str, workers: int) -> str:
    """The s3:// URI of an artifact.

    Raises:
        UsageError: It is somewhere else.
    """
    address = as_s3(uri)
    if not address:
        raise UsageError(
            f"--num-workers {workers}: --{flag} {uri or '(no URI)'} is not on S3, where workers could read "
            "it; run the pipeline on a cluster whose artifacts are on S3, or train with one worker"
        )
    return address


def _connected() -> "Cluster":
    from components.mpijob.api import Cluster, connect

    api, namespace = connect()
    return Cluster(api, namespace)


def _nothing(request: Request) -> NoReturn:
    from frcnn.errors import RunError

    raise RunError(
        f"{request.checkpoints}: the job has succeeded, but left no checkpoint; see whether this step and "
        "the workers use the same S3 server (secret frcnn-s3)"
    )
