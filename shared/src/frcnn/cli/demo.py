"""`frcnn demo`: convert, train, evaluate and infer, on a synthetic data set or on your own."""

import argparse
import importlib
import json
import logging
import shlex
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import DataError, RunError, UsageError

if TYPE_CHECKING:
    from frcnn.cli.demo_specs import Paths

HELP = "Run all tasks in a row on a data set in KITTI layout: convert, train, evaluate, inference."
EXAMPLES = """\
  frcnn demo                             on a synthetic data set, results in demo/
  frcnn demo --data ~/kitti -o runs/kitti
  frcnn demo --data ~/kitti --epochs 5   a first look

The data set is a folder with images/ and labels/ (or image_2/ and label_2/). Sizes, classes and anchors
are taken from it; the specs made from that are kept in the output folder, ready to be changed.
"""

log = logging.getLogger(__name__)

IMAGE_DIRS = ("images", "image_2", "image")
LABEL_DIRS = ("labels", "label_2", "label")
EXTENSIONS = (".jpg", ".jpeg", ".png")
SAMPLES = 8
OWN = {"README.txt", "specs", "data", "records", "results", "samples", "annotated", "labels"}
README = """\
Made by `frcnn demo`, and written anew by its next run.

specs/      what the tasks were told: a start for your own specs
data/       the synthetic data set, if there was no other
records/    the data set as TFRecords, fold 0 for validation
results/    checkpoints, metrics.json, status.json, precision-recall curves
samples/    a few images of fold 0
annotated/  the same with what was detected; labels/ holds it as KITTI labels
"""
# Enough for the synthetic set, and a run of less than ten minutes on two cores.
SYNTHETIC_EPOCHS = 14
# Own data: trained on so many images in all, whatever the size of the data set, within limits.
IMAGES_SEEN = 6000
LEAST_EPOCHS, MOST_EPOCHS = 8, 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the task's flags."""
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("demo"), metavar="DIR", help="default: demo"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="data set in KITTI layout (default: synthetic)"
    )
    parser.add_argument(
        "--epochs", type=int, metavar="N", help="default: as many as the data set's size asks for"
    )


def run(args: argparse.Namespace) -> None:
    """Runs the tasks one after the other, each as its own command would."""
    if args.epochs is not None and args.epochs < 1:
        raise UsageError(f"--epochs {args.epochs}: expected 1 or more")
    out = args.output.expanduser().resolve()
    data = args.data.expanduser().resolve() if args.data else None  # ~ comes unexpanded through make
    found = layout(data) if data else None  # before anything is written
    _claim(out)
    folder = data or _synthetic(out / "data")
    epochs = args.epochs or (None if args.data else SYNTHETIC_EPOCHS)
    spec, paths = _prepare(folder, *(found or layout(folder)), out, epochs)
    _task("train", "-e", spec, "-r", paths.results)
    model = _newest_model(paths.results)
    _task("evaluate", "-e", spec, "-m", model, "-r", paths.results)
    _task("inference", "-e", spec, "-m", model, "-r", paths.results)
    _show_outcome(spec, model, paths)


def _prepare(
    folder: Path, image_dir: str, label_dir: str, extension: str, out: Path, epochs: int | None
) -> tuple[Path, "Paths"]:
    """Converts the data set and writes the experiment spec; gives back the spec's path and the others."""
    from frcnn.cli.demo_specs import Paths, convert_spec, experiment_spec, survey
    from frcnn.data.records import read_records
    from frcnn.runtime.files import write_text

    paths, specs = Paths(out, folder), out / "specs"
    write_text(specs / "convert.txt", convert_spec(folder, image_dir, label_dir, extension))
    _task("dataset_convert", "-d", specs / "convert.txt", "-o", paths.records)
    files = sorted(paths.records.parent.glob(f"{paths.records.name}-fold-*"))
    facts = survey(record for file in files for record in read_records(file))
    text = experiment_spec(facts, paths, extension, epochs or default_epochs(facts.images))
    write_text(specs / "experiment.txt", text)
    held_out = [file for file in files if "-fold-000-" in file.name]
    frames = [record.frame_id for file in held_out for record in read_records(file)]
    _copy_samples([folder / f"{frame}{extension}" for frame in frames], paths.samples)
    return specs / "experiment.txt", paths


def _claim(out: Path) -> None:
    """Makes sure that the output folder is the demo's own, where it may replace files."""
    from frcnn.runtime.files import write_text

    strangers = sorted(path.name for path in out.iterdir() if path.name not in OWN) if out.is_dir() else []
    if strangers:
        raise UsageError(f"-o {out}: holds {strangers[0]}, which no demo wrote; choose a new or empty folder")
    write_text(out / "README.txt", README)


def default_epochs(images: int) -> int:
    """Epochs that train about equally long whatever the number of images, within limits."""
    return min(MOST_EPOCHS, max(LEAST_EPOCHS, round(IMAGES_SEEN / images)))


def layout(folder: Path) -> tuple[str, str, str]:
    """Names of the folders of images and labels below `folder`, and the images' extension with dot.

    Raises:
        DataError: A folder is missing, or there are no images in it.
    """
    image_dir = _first_folder(folder, IMAGE_DIRS)
    label_dir = _first_folder(folder, LABEL_DIRS)
    suffixes = Counter(path.suffix for path in (folder / image_dir).iterdir())
    images = {suffix: count for suffix, count in suffixes.items() if suffix.lower() in EXTENSIONS}
    if not images:
        raise DataError(f"{folder / image_dir}: no images in it; expected {', '.join(EXTENSIONS)}")
    chosen = max(images, key=lambda suffix: images[suffix])
    if len(images) > 1:
        others = sum(images.values()) - images[chosen]
        log.warning("%s: taking the %d %s images, not the %d others", folder, images[chosen], chosen, others)
    return image_dir, label_dir, chosen


def _first_folder(folder: Path, names: tuple[str, ...]) -> str:
    for name in names:
        if (folder / name).is_dir():
            return name
    raise DataError(
        f"{folder}: no folder {names[0]}/ in it (nor {', '.join(names[1:])}); expected KITTI layout"
    )


def _synthetic(folder: Path) -> Path:
    _task("demo-data", "-o", folder)
    return folder


def _copy_samples(images: list[Path], folder: Path) -> None:
    """Copies a few images, evenly spread over those held out from training; earlier samples make way."""
    count = min(SAMPLES, len(images))
    chosen = [images[number * len(images) // count] for number in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for image in chosen:
        shutil.copyfile(image, folder / image.name)


def _newest_model(results: Path) -> Path:
    """The best checkpoint, or the last one where nothing was there to choose by."""
    for pattern in ("*.best.*", "*.epoch_*"):
        found = sorted(results.glob(pattern), key=lambda path: path.stat().st_mtime)
        if found:
            return found[-1]
    raise RunError(f"{results}: the training left no checkpoint")


def _show_outcome(spec: Path, model: Path, paths: "Paths") -> None:
    """Says what came out, and where it is to be seen."""
    metrics = json.loads((paths.results / "metrics.json").read_text(encoding="utf-8"))
    at_half = metrics["iou"]["0.50"]["classes"]
    lines = [
        "",
        f"{metrics['images']} images held out from training, IoU 0.5:",
        *(f"  AP {name:<20} {_number(values['ap'])}" for name, values in at_half.items()),
        f"  mAP {'':<19} {_number(metrics['mAP'])}",
        f"model:   {shown(model)}",
        f"spec:    {shown(spec)}",
        f"metrics: {shown(paths.results / 'metrics.json')}",
        "annotated images:",
        *(f"  {shown(path)}" for path in sorted(paths.annotated.iterdir())[:4]),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def shown(path: Path) -> Path:
    """`path` from the working folder where it lies below that, else as it is."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _task(name: str, *words: object) -> None:
    """Runs a task as `frcnn <name> <words>` would, having said so."""
    from frcnn.cli import frame
    from frcnn.cli.tasks import all_tasks

    command = [str(shown(word) if isinstance(word, Path) else word) for word in words]
    sys.stdout.write(f"\n$ frcnn {name} {shlex.join(command)}\n")
    sys.stdout.flush()
    task = all_tasks()[name]
    frame.run_inside(task, importlib.import_module(task.module), command)
