"""Worker process: trains this project's detector on a job of the accuracy benchmark.

    python -m benchmarks.accuracy_ours JOB.json SEED ANSWER.json [--new_spec] [--fields TEXT]

It uses the product's commands and the spec in `accuracy_spec.txt`, with the job's backbone, input, anchors
and epochs; with --new_spec, the spec that `frcnn spec new` writes for the backbone, weights, input and epochs
of the job. TEXT is appended to the spec and takes precedence. `accuracy.py` starts it.
"""

import argparse
import csv
import shutil
import string
import subprocess
import sys
import tempfile
from pathlib import Path

import frcnn
from benchmarks.accuracy_job import Answer, Job, Rows
from frcnn.data.input.dataset import validation_dataset
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.checkpoint import load_model
from frcnn.model.keras_detector import KerasDetector
from frcnn.settings.data import data_settings
from frcnn.settings.model import detection_settings
from frcnn.spec import Experiment, load_experiment

FORM = Path(__file__).with_name("accuracy_spec.txt")
CONVERT = """
kitti_config {{
  root_directory_path: "{root}" image_dir_name: "images" label_dir_name: "labels" image_extension: ".jpg"
  partition_mode: "random" num_partitions: 2 num_shards: 1 val_split: 0
}}
"""
OVERRIDES = """
random_seed: {seed}
model_config {{
  all_projections: false
  input_image_config {{
    image_channel_order: "rgb" image_scaling_factor: {factor}
    image_channel_mean {{ key: "r" value: {r} }}
    image_channel_mean {{ key: "g" value: {g} }}
    image_channel_mean {{ key: "b" value: {b} }}
  }}
}}
dataset_config {{
  validation_data_source {{ tfrecords_path: "{folder}/records/val-*" image_directory_path: "{folder}/val" }}
}}
training_config {{
  pretrained_weights: "{weights}" batch_size_per_gpu: {batch} checkpoint_interval: 1 save_best: false
  learning_rate {{ soft_start {{ base_lr: {rate} start_lr: {low} }} }}
}}
evaluation_config {{
  validation_period_during_training: {epochs} rpn_nms_max_boxes: {proposals}
}}
"""

# The same seed, batch size and saved epochs as in the other trainings.
NEW_SPEC_OVERRIDES = """
random_seed: {seed}
training_config {{ batch_size_per_gpu: {batch} checkpoint_interval: 1 save_best: false }}
evaluation_config {{ validation_period_during_training: {epochs} }}
"""


def spec_text(job: Job, seed: int, folder: Path, fields: str) -> str:
    """Writes the experiment spec of a training.

    Args:
        job: Job.
        seed: Random seed.
        folder: Folder with the splits and their records.
        fields: Spec text to append.

    Returns:
        Spec as protobuf text.
    """
    names = [name.lower() for name in job.classes]
    mapping = "\n".join(f'  target_class_mapping {{ key: "{name}" value: "{name}" }}' for name in names)
    form = string.Template(FORM.read_text(encoding="utf-8")).substitute(
        arch=f'"{job.arch}"',
        columns=job.width,
        rows=job.height,
        max_objects=max(20, *(len(picture.boxes) for each in job.splits.values() for picture in each)),
        rois=job.rois,
        scales=" ".join(f"scale: {scale}" for scale in job.scales),
        records=f'"{folder}/records/train-*"',
        data=f'"{folder}/train"',
        extension='"jpg"',
        mapping=mapping,
        epochs=job.epochs,
        interval=1,
        model='"none"',
        samples='"none"',
        annotated='"none"',
        labels='"none"',
    )
    return (
        form.replace("  validation_fold: 0\n", "")
        + OVERRIDES.format(
            seed=seed,
            factor=job.factor,
            r=job.mean[0],
            g=job.mean[1],
            b=job.mean[2],
            folder=folder,
            weights=job.weights,
            batch=job.batch,
            rate=job.rate,
            low=job.rate / 10,
            epochs=job.epochs,
            proposals=job.proposals,
        )
        + fields
    )


def new_spec_text(job: Job, seed: int, folder: Path, fields: str) -> str:
    """Writes the spec that `frcnn spec new` chooses; arguments and result are those of `spec_text`."""
    new = frcnn.new_spec(
        folder,
        folder,
        arch=job.arch,
        pretrained=job.weights or None,
        size=(job.height, job.width),
        num_epochs=job.epochs,
        force=True,  # the conversion specs of prepare
    )
    text = NEW_SPEC_OVERRIDES.format(seed=seed, batch=job.batch, epochs=job.epochs)
    return new.experiment.read_text(encoding="utf-8") + text + fields


def prepare(job: Job, folder: Path) -> None:
    """Copies each split to a separate data set and converts it to records.

    Args:
        job: Job.
        folder: Output folder.
    """
    for split, pictures in job.splits.items():
        for kind, suffix in (("images", ".jpg"), ("labels", ".txt")):
            target = folder / split / kind
            target.mkdir(parents=True)
            for picture in pictures:
                name = Path(picture.path).stem + suffix
                shutil.copyfile(Path(job.data) / kind / name, target / name)
        spec = folder / f"convert_{split}.txt"
        spec.write_text(CONVERT.format(root=folder / split))
        _frcnn("dataset_convert", "-d", str(spec), "-o", str(folder / "records" / split))


def found(model: Path, spec: Experiment, job: Job, split: str) -> list[Rows]:
    """Detects objects in all images of a split, with a model file; see `rows_of`."""
    return rows_of(load_model(model)[0], spec, job, split)


def rows_of(model: FasterRCNN, spec: Experiment, job: Job, split: str) -> list[Rows]:
    """Detects objects in all images of a split.

    Args:
        model: Trained detector.
        spec: Spec whose validation data is the split.
        job: Job.
        split: `val` or `test`.

    Returns:
        Detections in each image, in the job's order.
    """
    dataset = validation_dataset(data_settings(spec), batch_size=spec.evaluation_config.batch_size)
    detector = KerasDetector(model, detection_settings(spec.evaluation_config))
    names = list(spec.class_names)
    number = [[name.lower() for name in job.classes].index(name) for name in names]
    rows: dict[str, Rows] = {}
    for batch in dataset.batches.as_numpy_iterator():
        answers = detector(batch["images"])
        for index, frame in enumerate(batch["frame_id"]):
            if batch["image_valid"][index]:
                count = int(answers.count[index])
                boxes = answers.boxes[index, :count][:, [1, 0, 3, 2]].tolist()
                scores = answers.scores[index, :count].tolist()
                kinds = [number[int(kind)] for kind in answers.classes[index, :count]]
                each = zip(boxes, scores, kinds, strict=True)
                rows[Path(frame.decode()).name] = [[*box, score, float(kind)] for box, score, kind in each]
    return [rows[Path(picture.path).stem] for picture in job.splits[split]]


def run(job: Job, seed: int, folder: Path, fields: str, *, new_spec: bool = False) -> Answer:
    """Trains a detector and collects its detections.

    Args:
        job: Job.
        seed: Random seed.
        folder: Working folder.
        fields: Spec text to append.
        new_spec: Whether `frcnn spec new` writes the spec.

    Returns:
        Result of the training.
    """
    prepare(job, folder)
    path, results = folder / "spec.txt", folder / "results"
    write = new_spec_text if new_spec else spec_text
    path.write_text(write(job, seed, folder, fields))
    _frcnn("train", "-e", str(path), "-r", str(results))
    spec = load_experiment(path)
    on_test = spec.evaluated_on(f"{folder}/records/test-*", folder / "test")
    models = [next(results.glob(f"*.epoch_{epoch}.keras")) for epoch in range(1, job.epochs + 1)]
    with (results / "training_log.csv").open(newline="") as handle:
        seconds = [float(row["seconds"]) for row in csv.DictReader(handle)]
    val = [found(model, spec, job, "val") for model in models]
    return Answer(seconds, val, found(models[-1], on_test, job, "test"))


def _frcnn(*arguments: str) -> None:
    """Runs an `frcnn` command with its output on standard error."""
    subprocess.run([sys.executable, "-m", "frcnn", *arguments], check=True, stdout=sys.stderr)


def main() -> None:
    """Runs the command."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("job", type=Path, help="job file")
    flags.add_argument("seed", type=int, help="random seed")
    flags.add_argument("answer", type=Path, help="result file to write")
    flags.add_argument("--new_spec", action="store_true", help="train with the spec of `frcnn spec new`")
    flags.add_argument("--fields", default="", help="text to append to the spec (default: none)")
    args = flags.parse_args()
    with tempfile.TemporaryDirectory(prefix="frcnn-accuracy-") as folder:
        job = Job.load(args.job)
        run(job, args.seed, Path(folder), args.fields, new_spec=args.new_spec).save(args.answer)


if __name__ == "__main__":
    main()
