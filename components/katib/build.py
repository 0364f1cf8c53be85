"""Builds a `KatibSearch` from the arguments of the command line or the pipeline step."""

import argparse
import dataclasses
import hashlib
import os
import re

from components.katib.experiment import LONGEST_NAME, experiment
from components.katib.search import KatibSearch
from components.mpijob.flags import job_of
from components.mpijob.job import TrainingJob
from components.mpijob.manifest import Manifest
from components.train.worker_job import OPTIONS_VARIABLE, SECRETS, plain_environment, pod_options
from frcnn.errors import UsageError
from frcnn.sealing.keys import KEY_VARIABLE, masked_spec
from frcnn.steps.places import as_s3
from frcnn.tuning.default_space import default_space
from frcnn.tuning.space import Space
from frcnn.tuning.space_file import parse_space
from frcnn.tuning.tuned_spec import TunedSpec

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_MAX_SEED = 2**32 - 1  # of NumPy, which the suggestion service uses


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Requested search.

    Attributes:
        spec: Spec that the search starts from.
        space: Fields to vary.
        records: URI of the records.
        checkpoints: URI for the checkpoints of all trials.
        trials: Number of trials.
        parallel: Maximum number of concurrent trials.
        image: Image of the trials.
        name: Name of the Experiment; empty: derived from the settings, so that an equal search is joined.
        epochs: Number of epochs of a trial; 0: as in the spec.
        workers: Pods of a trial.
        gpus: GPUs of each pod.
        early_stopping: Whether trials below the median of the others are stopped early.
        mixed: Whether layers compute in 16 bits.
        seed: Seed of the search; `None`: the spec's.
        options: Flags of the pods; `None`: those of the environment.
    """

    spec: TunedSpec
    space: Space
    records: str
    checkpoints: str
    trials: int
    parallel: int
    image: str
    name: str = ""
    epochs: int = 0
    workers: int = 1
    gpus: int = 0
    early_stopping: bool = True
    mixed: bool = False
    seed: int | None = None
    options: str | None = None


def space_given(text: str, spec: TunedSpec) -> Space:
    """Returns the space of a text; without a text, the default space.

    Args:
        text: Protobuf text, or empty.
        spec: Spec that the search starts from.

    Returns:
        The space.

    Raises:
        SpecError: The text has errors.
    """
    return parse_space(text, "space", spec) if text.strip() else default_space(spec)


def manifest_of(wanted: Wanted, namespace: str) -> Manifest:
    """Builds the Experiment.

    Args:
        wanted: Requested search.
        namespace: Namespace of the Experiment.

    Returns:
        Experiment as JSON.

    Raises:
        UsageError: A setting is invalid, or data that the trials need is not on S3.
    """
    check(wanted)
    options = pod_options(os.environ.get(OPTIONS_VARIABLE, "") if wanted.options is None else wanted.options)
    named = wanted.name or f"frcnn-tune-{_digest(wanted, options)}"
    if len(named) > LONGEST_NAME or not _NAME.fullmatch(named):
        raise UsageError(
            f"name {named}: expected at most {LONGEST_NAME} lower-case letters, digits and hyphens, with a "
            "letter first"
        )
    if not _NAMESPACE.fullmatch(namespace):
        raise UsageError(f"namespace {namespace}: expected at most 63 lower-case letters, digits and hyphens")
    job = job_of(
        options,
        name=named,
        namespace=namespace,
        image=wanted.image,
        training=("python",),  # each trial has its own command
        workers=wanted.workers,
        gpus=wanted.gpus,
    )
    job = dataclasses.replace(
        job, environment={**plain_environment(), **job.environment}, secret_environment=SECRETS
    )
    return experiment(_search(wanted, job))


def _search(wanted: Wanted, job: TrainingJob) -> KatibSearch:
    return KatibSearch(
        job=job,
        space=wanted.space,
        spec_place=masked_spec(wanted.spec.to_text()),
        records=as_s3(wanted.records),
        checkpoints=as_s3(wanted.checkpoints),
        trials=wanted.trials,
        parallel=wanted.parallel,
        epochs=wanted.epochs or wanted.spec.epochs,
        early_stopping=wanted.early_stopping,
        mixed=wanted.mixed,
        seed=wanted.spec.seed if wanted.seed is None else wanted.seed,
    )


def check(wanted: Wanted) -> None:
    """Checks the settings that can be checked without a cluster.

    Args:
        wanted: Requested search.

    Raises:
        UsageError: A setting is invalid, or data that the trials need is not on S3.
    """
    for name, uri in (("records", wanted.records), ("checkpoints", wanted.checkpoints)):
        if not as_s3(uri):
            raise UsageError(
                f"{name} {uri or '(no URI)'}: expected s3://bucket/prefix, because the trials run in pods of "
                "their own"
            )
    _check_apart(as_s3(wanted.records).rstrip("/"), as_s3(wanted.checkpoints).rstrip("/"))
    if not wanted.spec.has_validation_set:
        raise UsageError(
            f"{wanted.spec.source or 'The spec'} names no validation set, so trials cannot be compared. Set "
            "dataset_config.validation_fold or dataset_config.validation_data_source."
        )
    if not wanted.image.strip() or wanted.image.split() != [wanted.image]:
        raise UsageError(f"image {wanted.image!r}: expected the name of an image, such as registry/train:1")
    if wanted.seed is not None and not 0 <= wanted.seed <= _MAX_SEED:
        raise UsageError(f"seed {wanted.seed}: expected 0 to {_MAX_SEED}")
    for name, value in (("trials", wanted.trials), ("jobs", wanted.parallel), ("workers", wanted.workers)):
        if value < 1:
            raise UsageError(f"{name} {value}: expected 1 or more")
    if wanted.epochs < 0 or wanted.gpus < 0:
        raise UsageError(f"epochs {wanted.epochs}, GPUs {wanted.gpus}: expected 0 or more")
    if wanted.spec.experiment.enc_key and not os.environ.get(KEY_VARIABLE):
        raise UsageError(
            "the spec's enc_key is not passed to trials. Store it in the secret frcnn-model-key, and set "
            f"{KEY_VARIABLE} here."
        )


def _check_apart(records: str, checkpoints: str) -> None:
    """Checks that neither URI contains the other: a trial downloads everything below its URIs."""
    if f"{records}/".startswith(f"{checkpoints}/") or f"{checkpoints}/".startswith(f"{records}/"):
        raise UsageError(
            f"checkpoints {checkpoints} and records {records}: one contains the other; expected two places"
        )


def _digest(wanted: Wanted, options: argparse.Namespace) -> str:
    fields = {each.name: getattr(wanted, each.name) for each in dataclasses.fields(wanted)}
    facts = {**fields, "spec": wanted.spec.to_text(), "space": wanted.space.to_text()}
    known = sorted((name, str(value)) for name, value in (*facts.items(), *vars(options).items()))
    text = repr(known)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
