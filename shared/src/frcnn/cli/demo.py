"""`frcnn demo`: runs the whole pipeline and inference on a synthetic data set or on your own."""

import argparse
import importlib
import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn.console.foreign_text import printable, utf8
from frcnn.data.conversion.kitti.layout import layout
from frcnn.errors import RunError, UsageError

if TYPE_CHECKING:
    from frcnn.data.conversion.plan import Plan
    from frcnn.demo.specs import Paths

HELP = "Run the whole pipeline on a data set in KITTI layout, and detect objects with the resulting model."
EXAMPLES = """\
  frcnn demo                             on a synthetic data set, results in demo/
  frcnn demo --data ~/kitti -o runs/kitti
  frcnn demo --data ~/kitti --epochs 5   a quick first run

The data set is a folder with images/ and labels/ (or image_2/ and label_2/). Sizes, classes and anchors
are derived from it. The generated specs are saved in the output folder for editing. Run the same command
again to resume an interrupted run.
"""

SAMPLES = 8
OWN = {"README.txt", "specs", "data", "run", "samples", "annotated", "labels"}
README = """\
Created by `frcnn demo` and overwritten by its next run.

specs/       the specs of this run, a starting point for your own
data/        the synthetic data set, unless --data was given
run/latest/  outputs of each pipeline step: records, models, metrics, report.html, model.onnx
samples/     a few images held out from training
annotated/   the same images with detections; labels/ has them as KITTI labels
"""
# Enough for the synthetic data set; a run takes less than ten minutes on two cores.
SYNTHETIC_EPOCHS = 22
# Own data: total number of training images over all epochs, whatever the size of the data set.
IMAGES_SEEN = 6000
LEAST_EPOCHS, MOST_EPOCHS = 8, 60
# Fraction of the parameters to keep when pruning. After such a short training, all filters have similar
# norms, so no single threshold suits every data set.
SHARE_LEFT = 0.3
# Required accuracy on the synthetic data set. The accuracy on other data sets is not known in advance.
SYNTHETIC_GATES = ("--minimum_map", "0.6", "--tolerance", "0.1")
OPEN_GATES = ("--minimum_map", "0", "--tolerance", "1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("demo"), metavar="DIR", help="output folder (default: demo)"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="data set in KITTI layout (default: synthetic)"
    )
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="training epochs; half as many follow after pruning (default: by size of the data set)",
    )


def run(args: argparse.Namespace) -> None:
    """Runs the commands one after the other.

    Args:
        args: Parsed flags.

    Raises:
        UsageError: `--epochs` is below 1, a path is not UTF-8, or the output folder has other files.
        RunError: A step failed.
    """
    from frcnn.cpu import has_bfloat16
    from frcnn.demo.specs import Paths

    if args.epochs is not None and args.epochs < 1:
        raise UsageError(f"--epochs {args.epochs}: expected 1 or more")
    out = args.output.expanduser().resolve()
    data = args.data.expanduser().resolve() if args.data else None  # make passes ~ unexpanded
    for path in filter(None, (out, data)):
        if utf8(str(path)) != str(path):
            raise UsageError(f"{printable(path, None)}: not UTF-8, the encoding of specs; rename the folder")
    found = layout(data) if data else None  # before anything is written
    _claim(out)
    paths = Paths(out, data or _synthetic(out / "data"))
    epochs = args.epochs or (None if args.data else SYNTHETIC_EPOCHS)
    spec, epochs = _write_specs(paths, found or layout(paths.data), epochs)
    _task(
        *("pipeline", "run", "--spec", spec, "--convert_spec", paths.specs / "convert.txt"),
        *("--data", paths.data, "-o", paths.run, "--retrain_epochs", max(1, epochs // 2)),
        *("--train_precision", "mixed" if has_bfloat16() else "fp32"),
        *("--target_params", SHARE_LEFT, *(OPEN_GATES if args.data else SYNTHETIC_GATES)),
    )
    _task("inference", "-e", spec, "-m", _model(paths))
    _show_outcome(spec, paths)


def _write_specs(paths: "Paths", found: tuple[str, str, str], epochs: int | None) -> tuple[Path, int]:
    """Writes both specs and copies the samples; returns the path of the experiment spec and the epochs.

    `found` is the result of `layout`. Without `epochs`, the number of images decides.
    """
    from frcnn.cli.spec_flags import load_convert_spec
    from frcnn.data.conversion.convert import make_plan
    from frcnn.demo.specs import convert_spec, experiment_spec, survey
    from frcnn.files import write_text
    from frcnn.settings.conversion import conversion_settings

    write_text(paths.specs / "convert.txt", convert_spec(paths.data, *found))
    plan = make_plan(conversion_settings(load_convert_spec(paths.specs / "convert.txt")))
    readings = (plan.reader.read(job) for fold in plan.folds for job in fold)
    facts = survey(reading.record for reading in readings if reading.record is not None)
    epochs = epochs or default_epochs(facts.images)
    write_text(paths.specs / "experiment.txt", experiment_spec(facts, paths, found[2], epochs))
    _copy_samples(_held_out(plan, paths.data), paths.samples)
    return paths.specs / "experiment.txt", epochs


def _held_out(plan: "Plan", folder: Path) -> list[Path]:
    """Returns the image files of fold 0."""
    records = (plan.reader.read(job).record for job in plan.folds[0])
    return [folder / record.file for record in records if record is not None]


def _claim(out: Path) -> None:
    """Checks that the output folder contains only files of the demo, so that it may overwrite them."""
    from frcnn.files import write_text

    strangers = sorted(path.name for path in out.iterdir() if path.name not in OWN) if out.is_dir() else []
    if strangers:
        raise UsageError(f"-o {out}: holds {strangers[0]}, which no demo wrote; choose a new or empty folder")
    write_text(out / "README.txt", README)


def default_epochs(images: int) -> int:
    """Returns a number of epochs for about the same training time at any size of the data set.

    Args:
        images: Number of images.

    Returns:
        Number of epochs, limited to a fixed range.
    """
    return min(MOST_EPOCHS, max(LEAST_EPOCHS, round(IMAGES_SEEN / images)))


def _synthetic(folder: Path) -> Path:
    _task("demo-data", "-o", folder)
    return folder


def _copy_samples(images: list[Path], folder: Path) -> None:
    """Copies a few held-out images, evenly spaced, and deletes earlier samples."""
    count = min(SAMPLES, len(images))
    chosen = [images[number * len(images) // count] for number in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for image in chosen:
        shutil.copyfile(image, folder / image.name)


def _model(paths: "Paths") -> Path:
    """Returns the path of the pruned and retrained model, which is sealed if there is a key."""
    found = sorted(paths.model.parent.glob("model.*"))
    if not found:
        raise RunError(f"{paths.model.parent}: the pipeline did not write a model")
    return found[0]


def _show_outcome(spec: Path, paths: "Paths") -> None:
    """Prints metrics and the paths of the results."""
    steps = ("evaluate", "evaluate-retrained")
    metrics = [_read_json(paths.latest / step / "report" / "metrics.json") for step in steps]
    classes = [each["iou"]["0.50"]["classes"] for each in metrics]
    left = _read_json(paths.latest / "prune" / "pruned" / "pruning.json")["params"]
    lines = [
        "",
        f"{metrics[0]['images']} images held out from training, IoU 0.5:",
        _row("", ["trained", "pruned, retrained"]),
        *(
            _row(f"AP {printable(name)}", [_number(each[name]["ap"]) for each in classes])
            for name in classes[0]
        ),
        _row("mAP", [_number(each["mAP"]) for each in metrics]),
        _row("parameters", [f"{left[when]:,}" for when in ("before", "after")]),
        f"model:   {shown(_model(paths))}",
        f"spec:    {shown(spec)}",
        f"report:  {shown(paths.latest / steps[1] / 'report' / 'report.html')}",
        "annotated images:",
        *(
            f"  {printable(shown(path), None)}"
            for path in sorted(paths.annotated.iterdir())[:5]
            if not path.name.startswith(".")
        ),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _row(name: str, values: Sequence[str]) -> str:
    return f"  {name:<24}" + "".join(f"{value:>20}" for value in values)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def shown(path: Path) -> Path:
    """Returns a path relative to the working directory if it is below it.

    Args:
        path: Absolute path.

    Returns:
        Path to print.
    """
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _task(name: str, *words: object) -> None:
    """Prints a command and runs it like `frcnn <name> <words>`."""
    from frcnn.cli import task_runner
    from frcnn.cli.tasks import all_tasks

    command = [str(shown(word) if isinstance(word, Path) else word) for word in words]
    sys.stdout.write(f"\n$ frcnn {name} {shlex.join(command)}\n")
    sys.stdout.flush()
    task = all_tasks()[name]
    task_runner.run_inside(task, importlib.import_module(task.module), command)
