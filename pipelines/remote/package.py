"""Prepares the data that is sent to a cluster: the compiled pipeline and the parameters of a run."""

import argparse
import contextlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from frcnn.cli.spec_flags import add_set_flag
from frcnn.errors import UsageError
from frcnn.steps.places import as_s3, folder_or_s3
from pipelines import parameters, pods
from pipelines.parameters import Parameter

# Longest argument of a program on Linux (MAX_ARG_STRLEN minus the terminating byte). A spec is an argument of
# a step, and, as JSON together with the step's other inputs, an argument of Kubeflow's launcher.
MAX_ARGUMENT_BYTES = 131_071
_BESIDE_THE_SPEC_BYTES = 16_384
CLUSTER_ONLY = (
    Parameter("data_version", "", "TEXT", "any text; a new value repeats the conversion"),
    Parameter("checkpoints", "", "PLACE", "folder on a volume, or s3:// URI, for checkpoints"),
    Parameter("num_workers", 1, "N", "pods that train together (default: 1)"),
    Parameter("min_workers", 0, "N", "pods that suffice if there is no room for all (default: all)"),
    Parameter("gpus_per_worker", 0, "N", "GPUs per pod, if --num_workers > 1 (default: 0)"),
    Parameter("step_gpus", "0", "N", "GPUs of the training step's own pod, 0 or 1 (default: 0)"),
)
# A host with or without a port, folders in lower case, a name and a tag.
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?(?::[0-9]+)?/)?"
    r"(?:[a-z0-9]+(?:[-._]+[a-z0-9]+)*/)*[a-z0-9-]+:[A-Za-z0-9_][-.A-Za-z0-9_]{0,127}"
)
SERVICE_ACCOUNT = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
ALL = (*parameters.EVERYWHERE, *CLUSTER_ONLY)


def add_flags(flags: argparse.ArgumentParser) -> None:
    """Adds the flags that describe a run."""
    add = flags.add_argument
    add(
        "-e",
        "--spec",
        default="",
        metavar="FILE",
        help="experiment spec: local file or s3:// URI (default: one chosen for the data set)",
    )
    add(
        "--data",
        required=True,
        metavar="PLACE",
        help="data set: s3:// URI, or folder on a volume that the steps can read",
    )
    add(
        "--convert_spec",
        default="",
        metavar="FILE",
        help="conversion spec: local file or s3:// URI (default: KITTI layout, or COCO files)",
    )
    add_set_flag(flags)
    add("--no_cache", action="store_true", help="run every step again")
    add(
        "--service_account", metavar="NAME", help="service account of the steps (default: that of the server)"
    )
    add_image_flags(flags)
    pods.add_flags(flags)
    parameters.add_flags(flags, ALL)


def add_image_flags(flags: argparse.ArgumentParser) -> None:
    """Adds the flags that select the images of the steps."""
    flags.add_argument(
        "--registry",
        metavar="NAME",
        help="registry of the steps' images (default: FRCNN_REGISTRY; without it, images have no registry)",
    )
    flags.add_argument(
        "--tag", metavar="TAG", help="tag of the steps' images (default: FRCNN_TAG, or this version)"
    )


def arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the parameters of the run. Local specs are validated and sent as text.

    Args:
        args: Parsed flags of `add_flags`.

    Returns:
        Values by parameter name.

    Raises:
        UsageError: A flag is invalid, or a spec is too long.
        SpecError: A spec has errors.
    """
    from pipelines.spec_key import conversion_text, experiment_for_cluster

    if args.service_account and not SERVICE_ACCOUNT.fullmatch(args.service_account):
        raise UsageError(
            f"--service_account {args.service_account}: expected the name of an account, such as "
            "pipeline-runner"
        )
    if args.settings and not args.spec:
        raise UsageError("--set requires --spec: it changes fields of that file.")
    if args.settings and as_s3(args.spec.strip()):
        raise UsageError(f"--set requires a local spec file; {args.spec} is read by the steps.")
    convert_spec = args.convert_spec and _text("--convert_spec", args.convert_spec, conversion_text)
    given = parameters.given(args, ALL)
    data = folder_or_s3(args.data, "--data")
    if not data:
        raise UsageError("--data is empty: expected s3://bucket/prefix, or a folder that the steps can read")
    return {
        "data": data,
        "spec": args.spec
        and _text("--spec", args.spec, lambda path: experiment_for_cluster(path, args.settings)),
        "convert_spec": convert_spec,
        **given,
    }


@contextlib.contextmanager
def compiled(args: argparse.Namespace) -> Iterator[Path]:
    """Compiles a pipeline for the selected images into a temporary file.

    Args:
        args: Parsed flags of `add_image_flags` and `pods.add_flags`; `pipeline` is its name, if there is one.

    Yields:
        YAML file, deleted at the end of the block.
    """
    choose_images(args)
    from pipelines.compile import PIPELINES, compile_all

    with tempfile.TemporaryDirectory() as folder:
        compile_all(Path(folder))
        yield Path(folder) / PIPELINES[getattr(args, "pipeline", "faster-rcnn")]


@contextlib.contextmanager
def without_reuse(package: Path) -> Iterator[Path]:
    """Writes a copy of a pipeline with caching disabled in every step, including nested pipelines.

    The option of kfp.Client affects only the tasks of the outermost pipeline.

    Args:
        package: YAML file of the pipeline.

    Yields:
        YAML file, deleted at the end of the block.
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
    """Selects images and pod settings, before the pipeline definition is imported.

    Args:
        args: Parsed flags of `add_image_flags` and `pods.add_flags`.

    Raises:
        UsageError: A flag is malformed.
    """
    from components.images import REGISTRY_VARIABLE, TAG_VARIABLE, image

    pods.choose(args)
    for variable, value in ((REGISTRY_VARIABLE, args.registry), (TAG_VARIABLE, args.tag)):
        if value:
            os.environ[variable] = value
    if not _IMAGE.fullmatch(name := image("train")):
        raise UsageError(
            f"{name} is not the name of an image. Expected a registry such as my.registry:5000/team in "
            f"--registry or {REGISTRY_VARIABLE}, and a tag such as 1.2 in --tag or {TAG_VARIABLE}"
        )


def _text(flag: str, given: str, read: Callable[[Path], str]) -> str:
    place = folder_or_s3(given, flag)
    if place.startswith("s3://"):
        return place
    text = read(Path(place))
    most = MAX_ARGUMENT_BYTES - _BESIDE_THE_SPEC_BYTES
    # Kubeflow Pipelines writes text unchanged, except for characters that JSON must escape.
    if (size := len(json.dumps(text, ensure_ascii=False).encode())) > most:
        raise UsageError(
            f"{flag} {place}: {size} bytes as a run parameter; a step accepts at most {most} (Linux allows "
            f"{MAX_ARGUMENT_BYTES} in an argument). Upload the spec to S3 and use its URI: "
            f"frcnn pipeline push-spec {place} s3://bucket/name.txt"
        )
    return text
