"""Compares the accuracy of this project's and torchvision's detectors at equal settings and epochs.

    python -m benchmarks.accuracy --data DATA --weights mobilenetv2.pt -o OUT [--sets raccoon bccd]
        [--seeds 42 43 44] [--sides ours new_spec peer] [--try NAME=FIELDS ...] [--epochs N] [--rois N]

DATA contains the folders `raccoon` and `bccd`, each with `images/ID.jpg`, KITTI labels `labels/ID.txt`,
`classes.txt`, and `train.txt`, `val.txt` and `test.txt` with one ID per line. docs/pretrained.md tells how to
get MobileNetV2's ImageNet weights. The side `peer` is torchvision, `new_spec` is this project's detector with
the spec of `frcnn spec new` for the same backbone, input and epochs. Each --try adds a training of this
project's detector with FIELDS, spec text, appended to the spec:
`--try "no L2=training_config { regularizer { type: NO_REG } }"`.

OUT receives a job per data set and a result per training. Trainings with a result are skipped. All detections
are evaluated by the project's evaluator and by pycocotools. Times include training only.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.accuracy_job import Answer, Job, Picture, Rows
from benchmarks.accuracy_results import Result, Run, draw, one_line, table
from benchmarks.conditions import Conditions
from benchmarks.peer_python import add_peer_python
from benchmarks.run_speed import worker_environment
from frcnn.evaluation.evaluator import Evaluator
from frcnn.evaluation.settings import EvaluationSettings, iou_range
from tests.support.coco_peer import coco_ap
from tests.support.detection_scenes import Scene, as_batch

RANGE = iou_range(0.5, 1.0, 0.05)
IMAGENET = [123.675, 116.28, 103.53]
SPLITS = ("train", "val", "test")


def main() -> int:
    """Runs the benchmark and prints the tables.

    Returns:
        Exit code: 0 on success, 1 if a training failed, 2 if torchvision is not installed.
    """
    args = _arguments()
    if "peer" in args.sides and not args.peer_python.exists():
        sys.stderr.write(
            f"error: no interpreter {args.peer_python}. Create it as described in benchmarks/README.md.\n"
        )
        return 2
    conditions = Conditions(len(os.sched_getaffinity(0)))
    for name in args.sets:
        folder = args.output / name
        folder.mkdir(parents=True, exist_ok=True)
        job = make_job(name, args.data / name, args.weights, args.epochs, args.rois)
        job.save(folder / "job.json")
        results = []
        for run in _runs(args):
            if not run.path(folder).is_file() and not train(run, folder, args.peer_python):
                return 1
            results.append(judged(job, run, Answer.load(run.path(folder))))
            print(one_line(results[-1]), flush=True)
        print("\n" + table(name, results) + "\n")
        draw(name, results, folder / "curves.svg")
    print("\n".join(conditions.lines()))
    return 0


def make_job(name: str, data: Path, weights: Path, epochs: int | None, rois: int | None = None) -> Job:
    """Makes the job of a data set.

    Raccoon trains MobileNetV2 from ImageNet weights, BCCD trains ResNet-18 from random weights.

    Args:
        name: `raccoon` or `bccd`.
        data: Folder of the data set.
        weights: State dict of MobileNetV2.
        epochs: Number of epochs; `None` for the default of the data set.
        rois: RoIs per image used for training the head; `None` for the default of the data set.

    Returns:
        The job.
    """
    raccoon = name == "raccoon"
    return Job(
        name=name,
        arch="mobilenet_v2" if raccoon else "resnet:18",
        height=288,
        width=288 if raccoon else 384,
        mean=IMAGENET if raccoon else [170.0, 160.0, 175.0],
        factor=57.63 if raccoon else 64.0,
        scales=[64, 128, 256] if raccoon else [24, 56, 112],
        classes=(data / "classes.txt").read_text().split(),
        epochs=epochs or (8 if raccoon else 20),
        batch=4,
        rate=6e-4,
        rois=rois or (32 if raccoon else 64),
        proposals=50 if raccoon else 200,
        weights=str(weights.resolve()) if raccoon else "",
        data=str(data.resolve()),
        splits={split: _pictures(data, split) for split in SPLITS},
    )


def _pictures(data: Path, split: str) -> list[Picture]:
    """Reads images and labels of a split: `train`, `val` or `test`."""
    classes = (data / "classes.txt").read_text().split()
    found = []
    for name in (data / f"{split}.txt").read_text().split():
        path = data / "images" / f"{name}.jpg"
        lines = [line.split() for line in (data / "labels" / f"{name}.txt").read_text().splitlines() if line]
        with Image.open(path) as image:
            width, height = image.size
        boxes = [[float(value) for value in line[4:8]] for line in lines]
        numbers = [classes.index(line[0]) for line in lines]
        found.append(Picture(str(path.resolve()), width, height, boxes, numbers))
    return found


def _runs(args: argparse.Namespace) -> list[Run]:
    """Lists all requested trainings, seed by seed."""
    tries = [each.partition("=")[::2] for each in args.tries]
    sides = [*((side, "") for side in args.sides), *tries]
    return [Run(side, seed, fields) for seed in args.seeds for side, fields in sides]


def train(run: Run, folder: Path, peer_python: Path) -> bool:
    """Runs one training in a worker process and reports a failure on standard error.

    Args:
        run: Training.
        folder: Folder of the job and the results.
        peer_python: Python interpreter with torchvision.

    Returns:
        `True` on success.
    """
    peer = run.side == "peer"
    interpreter = str(peer_python) if peer else sys.executable
    module = "benchmarks.accuracy_peer" if peer else "benchmarks.accuracy_ours"
    command = [interpreter, "-m", module, str(folder / "job.json"), str(run.seed), str(run.path(folder))]
    log = run.path(folder).with_suffix(".log")
    with log.open("w") as output:
        extra = [] if peer else ["--fields", run.fields, *(["--new_spec"] if run.side == "new_spec" else [])]
        done = subprocess.run([*command, *extra], stdout=output, stderr=output, env=worker_environment())
    if done.returncode:
        sys.stderr.write(f"error: {run.side}, seed {run.seed}: exit code {done.returncode}. See {log}.\n")
    return not done.returncode


def judged(job: Job, run: Run, answer: Answer) -> Result:
    """Computes the metrics of one training.

    Args:
        job: Job of the training.
        run: Training.
        answer: Result of the training.

    Returns:
        Metrics.
    """
    scenes = scenes_of(job, "test", answer.test)
    return Result(
        run=run,
        minutes=(np.cumsum(answer.seconds) / 60).tolist(),
        val=[mean_ap(job, scenes_of(job, "val", found)) for found in answer.val],
        test=mean_ap(job, scenes),
        coco=coco_map(job, scenes),
    )


def scenes_of(job: Job, split: str, found: Sequence[Rows]) -> list[Scene]:
    """Combines labels and detections of a split, in whole pixels of the network input.

    Args:
        job: Job with the labels.
        split: `val` or `test`.
        found: Detections in each image of the split.

    Returns:
        One scene per image.
    """
    scenes = []
    for picture, rows in zip(job.splits[split], found, strict=True):
        scale = np.asarray([job.width / picture.width, job.height / picture.height] * 2)
        limit = np.asarray([job.width - 1, job.height - 1] * 2)
        boxes = np.clip(np.asarray(picture.boxes).reshape(-1, 4) * scale, 0, limit)
        values = np.asarray(rows, np.float64).reshape(-1, 6)
        seen = np.clip(values[:, :4], 0, limit)
        scenes.append(
            Scene(
                boxes=np.trunc(boxes[:, [1, 0, 3, 2]]),
                classes=np.asarray(picture.classes, np.int64),
                difficult=np.zeros(len(boxes), bool),
                found_boxes=np.trunc(seen[:, [1, 0, 3, 2]]),
                scores=values[:, 4].astype(np.float32),
                found_classes=values[:, 5].astype(np.int64),
            )
        )
    return scenes


def mean_ap(job: Job, scenes: list[Scene]) -> tuple[float, float]:
    """Evaluates detections with the project's evaluator.

    Args:
        job: Job with classes and size of the network input.
        scenes: Labels and detections of each image.

    Returns:
        mAP at IoU 0.5, and the mean over 0.5:0.95.
    """
    evaluator = Evaluator(EvaluationSettings(tuple(job.classes), RANGE))
    slots = max(1, *(len(scene.boxes) for scene in scenes))
    # The evaluator clips boxes to the image size, which it takes from the pixels.
    found, batch = as_batch(scenes, slots=slots)
    batch["images"] = np.zeros((len(scenes), job.height, job.width, 1), np.uint8)
    evaluator.update(found, batch)
    report = evaluator.report()
    return report.results[0].mean_ap or 0.0, report.mean_ap or 0.0


def coco_map(job: Job, scenes: list[Scene]) -> tuple[float, float]:
    """Evaluates detections with pycocotools, separately for each class at every recall it can have.

    Args:
        job: Job with the classes.
        scenes: Labels and detections of each image.

    Returns:
        mAP at IoU 0.5, and the mean over 0.5:0.95.
    """
    values = []
    for name in range(len(job.classes)):
        objects = max(1, sum(int((scene.classes == name).sum()) for scene in scenes))
        recalls = np.arange(1, objects + 1) / objects
        values.append(coco_ap(scenes, len(job.classes), RANGE, recalls=recalls)[:, name])
    means = np.nanmean(np.asarray(values), axis=0)
    return float(means[0]), float(means.mean())


def _arguments() -> argparse.Namespace:
    """Parses the command line."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    flags.add_argument("--weights", type=Path, required=True, help="state dict of MobileNetV2")
    flags.add_argument("-o", "--output", type=Path, required=True, help="output folder")
    flags.add_argument(
        "--sets",
        nargs="+",
        choices=("raccoon", "bccd"),
        default=["raccoon", "bccd"],
        help="data sets to train on (default: both)",
    )
    flags.add_argument(
        "--seeds", nargs="+", type=int, default=[42, 43, 44], help="random seeds (default: 42 43 44)"
    )
    flags.add_argument(
        "--sides",
        nargs="*",
        choices=("ours", "new_spec", "peer"),
        default=["ours", "peer"],
        help="trainings to run: ours and peer (torchvision's) with equal settings; new_spec with the spec of "
        "`frcnn spec new` (default: ours peer)",
    )
    flags.add_argument(
        "--try",
        dest="tries",
        nargs="+",
        default=[],
        metavar="NAME=FIELDS",
        help="further trainings of this project's detector, with spec text to append",
    )
    flags.add_argument("--epochs", type=int, help="number of epochs (default: 8 for raccoon, 20 for bccd)")
    flags.add_argument(
        "--rois", type=int, help="RoIs per image for training (default: 32 for raccoon, 64 for bccd)"
    )
    add_peer_python(flags)
    return flags.parse_args()


if __name__ == "__main__":
    sys.exit(main())
