"""`frcnn inference`: a model and a folder of images in, annotated images and KITTI labels out."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.cli.model_flags import add_model_flags, model_path, runtime_choice
from frcnn.cli.spec_flags import load_spec
from frcnn.console.foreign_text import printable
from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.inference.run import Summary
    from frcnn.inference.settings import InferenceSettings

HELP = "Detect objects in a folder of images."
EXAMPLES = """\
  frcnn inference -e spec.txt -m results/frcnn_resnet_18.epoch_12.tlt
  frcnn inference -e spec.txt -m model.keras -r found --captions
  frcnn inference -e spec.txt -m results -r found --images photos --threshold 0.8
  frcnn inference -e spec.txt -m model.onnx --runtime openvino --precision_hint bf16
"""

# Two runs would mix their files in one results folder.
ONE_WRITER = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the task's flags."""
    add_model_flags(parser, "inference_config.model")
    parser.add_argument(
        "-r",
        "--results_dir",
        type=Path,
        metavar="DIR",
        help="where status.json goes, and outputs the spec names no folder for",
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR|FILE",
        help="folder of images, or one image, instead of inference_config.images_dir",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="show detections from this score on, instead of inference_config.bbox_visualize_threshold",
    )
    parser.add_argument(
        "--captions",
        action=argparse.BooleanOptionalAction,
        help="write class and score beside each box (default: bbox_caption_on of the spec)",
    )
    parser.add_argument(
        "--apply_exif",
        action="store_true",
        help="turn images by their EXIF orientation, as viewers do; boxes are those of the turned image",
    )
    parser.add_argument("--strict", action="store_true", help="a file that cannot be read is an error")


def run(args: argparse.Namespace) -> Mapping[str, object]:
    """Looks at every image, and says where the results are."""
    from frcnn.data.image_files import find_images
    from frcnn.inference.settings import InferenceSettings
    from frcnn.sealing.keys import resolve_key

    spec = load_spec(args, own_settings(args))
    settings = InferenceSettings.from_spec(spec, results_dir=args.results_dir, captions=args.captions)
    if args.images is not None and args.images.is_file():
        images = [Path(args.images.name)]
    else:
        images = find_images(settings.images_dir, leave_out=(settings.image_output_dir,))
    model = model_path(args.model, spec, "inference_config")
    key = resolve_key(args.key, spec.enc_key)

    from frcnn.data.transforms.preprocess import ImageSettings
    from frcnn.inference.load import load_detector
    from frcnn.inference.run import run_inference

    detector = load_detector(model, spec, key, "inference", runtime_choice(args), as_is=args.as_is)
    summary = run_inference(
        detector,
        images,
        settings,
        ImageSettings.from_spec(spec),
        strict=args.strict,
        apply_exif=args.apply_exif,
    )
    sys.stdout.write(_text(summary, settings, apply_exif=args.apply_exif))
    return {
        "kpi": {"num_images": summary.images, "num_images_skipped": len(summary.unreadable)},
        "categorical": {"num_objects": summary.detections},
    }


def own_settings(args: argparse.Namespace) -> list[str]:
    """Returns what --images and --threshold set in the spec, as --set would.

    Raises:
        UsageError: There are no such images.
    """
    from frcnn.spec.assignments import assignment

    settings = []
    if args.images is not None:
        if not args.images.exists():
            raise UsageError(f"--images {args.images}: no such file or folder")
        folder = args.images.parent if args.images.is_file() else args.images
        settings.append(assignment("inference_config.images_dir", str(folder)))
    if args.threshold is not None:
        settings.append(assignment("inference_config.bbox_visualize_threshold", args.threshold))
    return settings


def _text(summary: "Summary", settings: "InferenceSettings", *, apply_exif: bool) -> str:
    found = ", ".join(f"{count} {printable(name)}" for name, count in summary.detections.items())
    lines = [f"images: {summary.images}; found: {found} (score >= {settings.score_threshold:g})"]
    if summary.unreadable:
        lines.append(f"could not be read and were skipped: {len(summary.unreadable)}")
        lines += [f"  {printable(each.path, None)}: {printable(each.reason)}" for each in summary.unreadable]
    if summary.turned:
        what = (
            "applied" if apply_exif else "not applied (--apply_exif does): viewers show the originals turned"
        )
        lines.append(f"images with an EXIF orientation: {summary.turned}; {what}")
    lines.append(f"annotated images: {printable(settings.image_output_dir, None)}")
    lines.append(f"labels: {printable(settings.label_dir, None)}")
    return "\n".join(lines) + "\n"
