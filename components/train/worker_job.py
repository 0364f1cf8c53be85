"""MPIJob of a training on several pods: command and environment of its workers."""

import argparse
import dataclasses
import hashlib
import os
import shlex
from typing import NoReturn

from components.mpijob.flags import add_pod_flags, job_of
from components.mpijob.job import TrainingJob, job_name
from frcnn.errors import UsageError
from frcnn.sealing.keys import KEY_VARIABLE, masked_spec
from frcnn.steps.places import as_s3

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
        spec_text: Text of the experiment spec, without keys.
        records: s3:// URI of the records.
        start: s3:// URI of the Model artifact to start from; empty for none.
        epochs: Number of epochs as given; 0 keeps that of the spec.
        total_epochs: Number of epochs after which the training is finished.
        precision: Precision of layer computations: `fp32` or `mixed`.
        checkpoints: s3:// URI for checkpoints of this training only.
        image: Image of the pods.
        workers: Number of pods.
        least: Number of pods that suffice if the cluster has no room for all.
        gpus: Number of GPUs per pod.
    """

    spec_text: str
    records: str
    start: str
    epochs: int
    total_epochs: int
    precision: str
    checkpoints: str
    image: str
    workers: int
    least: int
    gpus: int

    @classmethod
    def of(
        cls, args: argparse.Namespace, checkpoints: str, *, spec_text: str, spec_key: str, total_epochs: int
    ) -> "Request":
        """Creates a request from the flags of the step.

        Args:
            args: Parsed flags.
            checkpoints: s3:// URI for checkpoints of this training; empty if it is not on S3.
            spec_text: Text of the experiment spec.
            spec_key: Key in the spec; empty for none.
            total_epochs: Number of epochs after which the training is finished.

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
        if spec_key and not os.environ.get(KEY_VARIABLE):
            raise UsageError(
                f"--num-workers {workers}: the spec's enc_key is not passed to workers. Store it in the "
                f"secret frcnn-model-key, which sets {KEY_VARIABLE}."
            )
        return cls(
            spec_text=masked_spec(spec_text),
            records=_on_s3(args.records_uri, "records", workers),
            start=args.start_from_uri and _on_s3(args.start_from_uri, "start-from", workers),
            epochs=args.epochs,
            total_epochs=total_epochs,
            precision=args.precision,
            checkpoints=checkpoints,
            image=args.image,
            workers=workers,
            least=args.min_workers or workers,
            gpus=args.gpus_per_worker,
        )


def described(request: Request, options: argparse.Namespace, namespace: str) -> TrainingJob:
    """Builds the job. Equal requests have equal names, so that a restarted step joins its job.

    Args:
        request: Requested training.
        options: Flags of the pods.
        namespace: Namespace of the job.

    Returns:
        Training job.
    """
    command = ["python", "-m", "components.train.worker", "--spec", spec_uri(request)]
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


def spec_uri(request: Request) -> str:
    """Returns the URI from which workers read the spec."""
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
