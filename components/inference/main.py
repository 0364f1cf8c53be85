"""Detects objects in a folder of images."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.steps.kfp_output import Metadata

TRUTH = ("false", "true")


def parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line. `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="inference", description=__doc__)
    flags.add_argument("--spec", required=True, help="experiment spec, protobuf text or file")
    flags.add_argument("--model", type=Path, required=True, help="folder of the model")
    flags.add_argument("--images", required=True, help="folder of images with subfolders, or s3:// URI")
    flags.add_argument(
        "--apply-exif",
        type=str.lower,  # KFP writes both True and true
        choices=TRUTH,
        default="false",
        help="rotate images by their EXIF orientation: true or false (default: false)",
    )
    flags.add_argument("--detections", type=Path, required=True, help="output folder for images and labels")
    flags.add_argument("--metrics", type=Path, help="output file for the metrics shown in the UI")
    flags.add_argument("--executor-input", metavar="JSON", help="value of the KFP placeholder {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Detects objects in all images."""
    from frcnn.api.inferring import infer
    from frcnn.sealing.keys import resolve_key
    from frcnn.settings.inference import inference_settings, prediction_settings
    from frcnn.steps.run import model_file
    from frcnn.steps.specs import experiment_given, with_inference
    from frcnn.storage.local_copy import local_copy

    folder = local_copy(args.images, "inference --images")
    spec = with_inference(experiment_given(args.spec), folder, args.detections)
    key = resolve_key(None, spec.enc_key)
    summary = infer(
        model_file(args.model),
        inference_settings(spec),
        prediction_settings(spec),
        key=key,
        apply_exif=args.apply_exif == "true",
    )
    numbers = {
        "images": summary.images,
        "images skipped": len(summary.unreadable),
        **{f"found {name}": count for name, count in summary.detections.items()},
    }
    return {"metrics": numbers}


if __name__ == "__main__":
    sys.exit(main())
