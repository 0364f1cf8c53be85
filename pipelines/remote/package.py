"""What is sent to a cluster: the compiled pipeline, and a run's parameters."""

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frcnn.errors import UsageError
from pipelines import parameters, pods
from pipelines.parameters import Parameter

# A parameter's text travels in the run's record, of which etcd takes a megabyte or so.
MOST_SPEC_BYTES = 200_000
CLUSTER_ONLY = (
    Parameter("data_version", "", "TEXT", "another one converts the data set anew"),
    Parameter("checkpoints", "", "PLACE", "folder on a volume, or s3:// URI, that outlives pods"),
    Parameter("num_workers", 1, "N", "pods that train together (default: 1)"),
    Parameter("min_workers", 0, "N", "of them that will do where there is no room for all (default: all)"),
    Parameter("gpus_per_worker", 0, "N", "of each of several workers (default: 0)"),
    Parameter("step_gpus", "0", "N", "of the training step's own pod, 0 or 1 (default: 0)"),
)
ALL = (*parameters.EVERYWHERE, *CLUSTER_ONLY)


def add_flags(flags: argparse.ArgumentParser) -> None:
    """Adds the flags that say what to run."""
    add = flags.add_argument
    add("-e", "--spec", required=True, metavar="FILE", help="experiment spec: a file here, or an s3:// URI")
    add("--data", required=True, metavar="PLACE", help="s3:// URI, or folder on a volume of the steps")
    add("--convert_spec", default="", metavar="FILE", help="how to convert and split it: as --spec")
    add("--no_cache", action="store_true", help="run every step anew")
    add("--service_account", metavar="NAME", help="that the steps run as")
    add_image_flags(flags)
    parameters.add_flags(flags, ALL)


def add_image_flags(flags: argparse.ArgumentParser) -> None:
    """Adds the flags that say where the steps' images are."""
    flags.add_argument("--registry", metavar="NAME", help="where the steps' images are")
    flags.add_argument("--tag", metavar="TAG", help="of the images (default: the version)")


def arguments(args: argparse.Namespace) -> dict[str, Any]:
    """The run's parameters; specs that lie here are checked and sent as text.

    Raises:
        UsageError, SpecError: One that cannot be right.
    """
    from frcnn.spec import load_dataset_export, load_experiment

    convert_spec = args.convert_spec and _text(args.convert_spec, load_dataset_export)
    given = parameters.given(args, ALL)
    return {
        "data": args.data,
        "spec": _text(args.spec, load_experiment),
        "convert_spec": convert_spec,
        **given,
    }


@contextlib.contextmanager
def compiled(args: argparse.Namespace) -> Iterator[Path]:
    """The pipeline's YAML, for the images that the flags name."""
    choose_images(args)
    from pipelines.compile import compile_all

    with tempfile.TemporaryDirectory() as folder:
        (path,) = compile_all(Path(folder))
        yield path


def choose_images(args: argparse.Namespace) -> None:
    """Makes the pipeline name the images that the flags ask for; before it is imported."""
    from components.images import REGISTRY_VARIABLE, TAG_VARIABLE

    for variable, value in ((REGISTRY_VARIABLE, args.registry), (TAG_VARIABLE, args.tag)):
        if value:
            os.environ[variable] = value


def _text(place: str, load: Any) -> str:
    if place.startswith("s3://"):
        return place
    text: str = load(Path(place)).text
    if len(text.encode()) > MOST_SPEC_BYTES:
        raise UsageError(f"{place}: larger than a run's parameter may be; put it on S3 and give its URI")
    return text
