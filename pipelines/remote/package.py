"""What is sent to a cluster: the compiled pipeline, and a run's parameters."""

import argparse
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frcnn.cli.spec_flags import add_set_flag
from frcnn.errors import UsageError
from pipelines import parameters, pods
from pipelines.parameters import Parameter

# Linux takes no argument of a program that is longer (MAX_ARG_STRLEN, less the byte that ends it). A spec is
# one of a step, and once more, as JSON beside all else that the step is told, of Kubeflow's launcher.
MOST_ARGUMENT_BYTES = 131_071
_BESIDE_THE_SPEC_BYTES = 16_384
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
    add_set_flag(flags)
    add("--no_cache", action="store_true", help="run every step anew")
    add("--service_account", metavar="NAME", help="that the steps run as")
    add_image_flags(flags)
    add_pod_flags(flags)
    parameters.add_flags(flags, ALL)


def add_image_flags(flags: argparse.ArgumentParser) -> None:
    """Adds the flags that say where the steps' images are."""
    flags.add_argument("--registry", metavar="NAME", help="where the steps' images are")
    flags.add_argument("--tag", metavar="TAG", help="of the images (default: the version)")


def add_pod_flags(flags: argparse.ArgumentParser) -> None:
    """Adds the flags that say what the steps' pods are like, on a cluster."""
    pods.add_flags(flags)


def arguments(args: argparse.Namespace) -> dict[str, Any]:
    """The run's parameters; specs that lie here are checked and sent as text.

    Raises:
        UsageError, SpecError: One that cannot be right.
    """
    from frcnn.spec import load_dataset_export, load_experiment

    if args.settings and args.spec.startswith("s3://"):
        raise UsageError(f"--set: goes with a spec that lies here; {args.spec} is read by the steps")
    convert_spec = args.convert_spec and _text("--convert_spec", args.convert_spec, load_dataset_export)
    given = parameters.given(args, ALL)
    return {
        "data": args.data,
        "spec": _text("--spec", args.spec, lambda path: load_experiment(path, args.settings)),
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


@contextlib.contextmanager
def without_reuse(package: Path) -> Iterator[Path]:
    """The same pipeline with every step run anew, those of nested pipelines too.

    What kfp.Client does when it is asked for that reaches the tasks of the outermost pipeline only.
    """
    import yaml

    spec, *platform = yaml.safe_load_all(package.read_text(encoding="utf-8"))
    for component in (spec["root"], *spec["components"].values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task["cachingOptions"] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / package.name
        path.write_text(yaml.safe_dump_all([spec, *platform], sort_keys=True), encoding="utf-8")
        yield path


def choose_images(args: argparse.Namespace) -> None:
    """Makes the pipeline name the images, and give its pods what the flags ask for; before it is imported.

    Raises:
        UsageError: A flag of the pods is not understood.
    """
    from components.images import REGISTRY_VARIABLE, TAG_VARIABLE

    pods.choose(args)
    for variable, value in ((REGISTRY_VARIABLE, args.registry), (TAG_VARIABLE, args.tag)):
        if value:
            os.environ[variable] = value


def _text(flag: str, place: str, load: Any) -> str:
    if place.startswith("s3://"):
        return place
    text: str = load(Path(place)).text
    most = MOST_ARGUMENT_BYTES - _BESIDE_THE_SPEC_BYTES
    # Kubeflow Pipelines writes text as it is, but for what JSON does not allow in a string.
    if (size := len(json.dumps(text, ensure_ascii=False).encode())) > most:
        raise UsageError(
            f"{flag} {place}: {size} bytes as a parameter of a run, and a step takes at most {most} (Linux "
            f"allows {MOST_ARGUMENT_BYTES} in an argument); put it on S3 and give its URI: "
            f"frcnn pipeline push-spec {place} s3://bucket/name.txt"
        )
    return text
