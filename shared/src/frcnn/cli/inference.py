"""`frcnn inference`: detects objects in a folder of images; writes annotated images and KITTI labels."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.cli.model_flags import add_model_flags, model_extras, model_path, run_options
from frcnn.cli.spec_flags import load_spec
from frcnn.console.foreign_text import printable
from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.inference.run import Summary
    from frcnn.settings.inference import InferenceSettings

HELP = "Detect objects in a folder of images, or in a single image."
EXAMPLES = """\
  frcnn inference -e spec.txt -m results/frcnn_resnet_18.epoch_12.keras
  frcnn inference -e spec.txt -m model.keras -r found --captions
  frcnn inference -e spec.txt -m results -r found --images photos --threshold 0.8
  frcnn inference -e spec.txt -m results --images street.jpg --threshold 0.3      a single image
  frcnn inference -e spec.txt -m model.onnx --runtime openvino --precision_hint bf16
"""

_VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
# Concurrent runs would mix their files in the results folder.
ONE_WRITER = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    add_model_flags(parser, "inference_config.model")
    parser.add_argument(
        "-r",
        "--results_dir",
        type=Path,
        metavar="DIR",
        help="folder for status.json and for outputs without a folder in the spec",
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR|FILE",
        help="folder of images, or a single image (default: inference_config.images_dir)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="minimum score of shown detections (default: inference_config.bbox_visualize_threshold)",
    )
    parser.add_argument(
        "--captions",
        action=argparse.BooleanOptionalAction,
        help="write class and score next to each box (default: inference_config.bbox_caption_on)",
    )
    parser.add_argument(
        "--apply_exif",
        action="store_true",
        help="rotate images by their EXIF orientation, as viewers do; boxes refer to the rotated image",
    )
    parser.add_argument("--strict", action="store_true", help="fail on files that cannot be read")


def extras(args: argparse.Namespace) -> str:
    """Returns the extras that the command needs."""
    return model_extras(args, "inference")


def run(args: argparse.Namespace) -> Mapping[str, object]:
    """Detects objects in all images and prints the paths of the results.

    Returns:
        Numbers of images and objects for the status file.
    """
    from frcnn.api.inferring import infer
    from frcnn.sealing.keys import resolve_key
    from frcnn.settings.inference import inference_settings, prediction_settings
    from frcnn.settings.model import named_model

    spec = load_spec(args, _own_settings(args))
    settings = inference_settings(spec, results_dir=args.results_dir, captions=args.captions)
    model = model_path(args.model, named_model(spec, "inference"), "inference_config", spec.source)
    summary = infer(
        model,
        settings,
        prediction_settings(spec),
        only=args.images.name if args.images is not None and args.images.is_file() else "",
        key=resolve_key(args.key, spec.enc_key),
        options=run_options(args),
        strict=args.strict,
        apply_exif=args.apply_exif,
    )
    sys.stdout.write(_text(summary, settings, apply_exif=args.apply_exif))
    return {
        "kpi": {"num_images": summary.images, "num_images_skipped": len(summary.unreadable)},
        "categorical": {"num_objects": summary.detections},
    }


def _own_settings(args: argparse.Namespace) -> list[str]:
    """Returns the spec settings for `--images` and `--threshold`, in the form of `--set`."""
    from frcnn.spec.assignments import assignment

    settings = []
    if args.images is not None:
        if not args.images.exists():
            raise UsageError(f"--images {args.images}: no such file or folder")
        if args.images.suffix.lower() in _VIDEOS:
            raise UsageError(
                f"--images {args.images}: is a video, which this command does not read; extract its frames "
                "into a folder, or pass them to a detector in Python (docs/python.md)"
            )
        folder = args.images.parent if args.images.is_file() else args.images
        settings.append(assignment("inference_config.images_dir", str(folder)))
    if args.threshold is not None:
        settings.append(assignment("inference_config.bbox_visualize_threshold", args.threshold))
    return settings


def _text(summary: "Summary", settings: "InferenceSettings", *, apply_exif: bool) -> str:
    found = ", ".join(f"{count} {printable(name)}" for name, count in summary.detections.items())
    lines = [f"images: {summary.images}; found: {found} (score >= {settings.score_threshold:g})"]
    if not any(summary.detections.values()):
        lines.append("nothing reaches this score; a lower --threshold shows what the model considered")
    if summary.unreadable:
        lines.append(f"could not be read and were skipped: {len(summary.unreadable)}")
        lines += [f"  {printable(each.path, None)}: {printable(each.reason)}" for each in summary.unreadable]
    if summary.turned:
        what = (
            "applied" if apply_exif else "not applied (use --apply_exif): viewers show these images rotated"
        )
        lines.append(f"images with an EXIF orientation: {summary.turned}; {what}")
    lines.append(f"annotated images: {printable(settings.image_output_dir, None)}")
    lines.append(f"labels: {printable(settings.label_dir, None)}")
    return "\n".join(lines) + "\n"
