"""Trains this project's detector with single traits of torchvision's, to see which of them matter.

    python -m benchmarks.accuracy_traits --data DATA --weights mobilenetv2.pt -o OUT
        [--traits relu6 epsilon ...] [--seeds 1 2 3] [--epochs 4] [--rois 16] [--fields TEXT]

DATA and the weights are those of `benchmarks.accuracy`; the data set is `raccoon`. All given traits act at
once. Each training runs in this process with the functions of `frcnn train`, since traits replace parts of
the library. It is evaluated once, after the last epoch, on the validation and the test split together. OUT
receives one JSON line per training.
"""

import argparse
import contextlib
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import tensorflow as tf

from benchmarks.accuracy import SPLITS, make_job, mean_ap, scenes_of
from benchmarks.accuracy_job import Job, Rows
from benchmarks.accuracy_ours import prepare, rows_of, spec_text
from frcnn.data.transforms import preprocess
from frcnn.model import faster_rcnn
from frcnn.model.backbones import mobilenet_v2
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import BatchNormalization
from frcnn.ops.roi_pool import crop_and_resize
from frcnn.settings.training import training_run
from frcnn.spec import Experiment, load_experiment
from frcnn.training import trainer

# Later than any epoch: the trainings here save and validate nothing.
NEVER = 10**6


@contextlib.contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Replaces an attribute within the block.

    Args:
        owner: Module, class or object.
        name: Name of the attribute.
        value: Value within the block.
    """
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def relu6() -> contextlib.AbstractContextManager[None]:
    """ReLU6 in MobileNetV2, as its ImageNet weights were trained."""
    layers = SimpleNamespace(**{**vars(keras.layers), "ReLU": lambda name: keras.layers.ReLU(6.0, name=name)})
    return replaced(mobilenet_v2, "keras", SimpleNamespace(layers=layers))


def epsilon() -> contextlib.AbstractContextManager[None]:
    """Epsilon of 1e-5 in batch normalization, as the ImageNet weights were trained."""
    create = BatchNormalization.__init__

    def small(self: BatchNormalization, **options: Any) -> None:
        create(self, **{"epsilon": 1e-5, **options})

    return replaced(BatchNormalization, "__init__", small)


def four_samples() -> contextlib.AbstractContextManager[None]:
    """Four bilinear samples per bin of a pooled RoI."""

    def pooled(features: tf.Tensor, rois: tf.Tensor, *rest: Any, by_stride: bool) -> tf.Tensor:
        height, width, size, stride = rest
        crops = crop_and_resize(features, rois, height, width, 2 * size, stride, by_stride=by_stride)
        return tf.nn.avg_pool2d(crops, 2, 2, "VALID")

    return replaced(faster_rcnn, "crop_and_resize", pooled)


def antialias() -> contextlib.AbstractContextManager[None]:
    """Antialiased resizing of the images."""

    def stretch(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
        resized = tf.image.resize(image, [height, width], method="bilinear", antialias=True)
        return tf.cast(resized, tf.float32)

    return replaced(preprocess, "stretch", stretch)


TRAITS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    each.__name__: each for each in (relu6, epsilon, four_samples, antialias)
}


class Keeper(keras.callbacks.Callback):
    """Callback that keeps the model in training, since a training returns only its files."""

    def kept(self) -> FasterRCNN:
        """Returns the model."""
        model = self.model
        if not isinstance(model, FasterRCNN):
            raise TypeError(f"expected a FasterRCNN, not {type(model).__name__}")
        return model


def _trained(spec: Experiment, folder: Path) -> FasterRCNN:
    """Trains a detector without saving or validating it."""
    run, keeper = training_run(spec), Keeper()
    checkpoints = dataclasses.replace(run.checkpoints, interval=NEVER, save_best=False)
    run = dataclasses.replace(
        run,
        checkpoints=checkpoints,
        data=dataclasses.replace(run.data, validation_source=None, validation_fold=None),
    )
    trainer.train(run, folder, callbacks=[keeper])
    return keeper.kept()


def _measured(job: Job, seed: int, traits: list[str], fields: str, folder: Path) -> dict[str, Any]:
    """Trains with traits and evaluates the detector.

    Returns:
        Traits, seed, and the mAP at IoU 0.5 and over 0.5:0.95 of both held-out splits together.
    """
    path = folder / f"spec-{seed}.txt"
    path.write_text(spec_text(job, seed, folder, fields))
    spec = load_experiment(path)
    with contextlib.ExitStack() as stack:
        for name in traits:
            stack.enter_context(TRAITS[name]())
        model = _trained(spec, folder / f"results-{seed}")
        on_test = spec.evaluated_on(f"{folder}/records/test-*", folder / "test")
        found: dict[str, list[Rows]] = {
            "val": rows_of(model, spec, job, "val"),
            "test": rows_of(model, on_test, job, "test"),
        }
    scenes = [scene for split in SPLITS[1:] for scene in scenes_of(job, split, found[split])]
    first, mean = mean_ap(job, scenes)
    return {"traits": traits, "fields": fields, "seed": seed, "mAP@0.5": first, "mAP@0.5:0.95": mean}


def main() -> int:
    """Runs the trainings and prints one line for each.

    Returns:
        Exit code.
    """
    args = _arguments()
    job = make_job("raccoon", args.data / "raccoon", args.weights, args.epochs, args.rois)
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="frcnn-traits-") as folder:
        prepare(job, Path(folder))
        for seed in args.seeds:
            line = json.dumps(_measured(job, seed, args.traits, args.fields, Path(folder)))
            print(line, flush=True)
            with (args.output / "traits.jsonl").open("a") as output:
                output.write(line + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    """Parses the command line."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    flags.add_argument("--weights", type=Path, required=True, help="state dict of MobileNetV2")
    flags.add_argument("-o", "--output", type=Path, required=True, help="output folder")
    flags.add_argument(
        "--traits",
        nargs="*",
        choices=sorted(TRAITS),
        default=[],
        help="traits that act at once (default: none)",
    )
    flags.add_argument(
        "--seeds", nargs="+", type=int, default=[1, 2, 3], help="random seeds (default: 1 2 3)"
    )
    flags.add_argument("--epochs", type=int, default=4, help="number of epochs (default: 4)")
    flags.add_argument("--rois", type=int, default=16, help="RoIs per image for training (default: 16)")
    flags.add_argument("--fields", default="", help="text to append to the spec (default: none)")
    return flags.parse_args()


if __name__ == "__main__":
    sys.exit(main())
