"""Writes the files that `run_export.py` times: one random model, exported in each form.

Run by `run_export.py` in a process of its own, so that TensorFlow's memory is nobody else's.
"""

import argparse
import functools
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from benchmarks.ours_spec import spec_text
from benchmarks.settings import SETTINGS, random_scene
from frcnn.exporting.exporter import ExportOptions, export_onnx, write_onnx
from frcnn.exporting.int8.calibration import calibrate
from frcnn.model.build import build
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import BatchNormalization
from frcnn.spec import load_experiment

# File name, and how the file is exported.
FORMS = {
    "fp32": ExportOptions(),
    "fast_head": ExportOptions(cpu_fast_head=True),
    "int8": ExportOptions(precision="int8", int8_profile="cpu"),
}
CROPS = 32


def settled_model(folder: Path) -> FasterRCNN:
    """A model with random weights whose normalization fits its activations, as training would have it."""
    (folder / "spec.txt").write_text(spec_text(batch=1))
    keras.utils.set_random_seed(42)
    model = build(load_experiment(folder / "spec.txt"))
    images = random_scene(2).images
    _settle(model.features, images)
    maps = model.features(images, training=False)[0]
    side = SETTINGS.pool_size
    random = np.random.default_rng(42)
    corners = zip(
        random.integers(0, maps.shape[1] - side, CROPS),
        random.integers(0, maps.shape[2] - side, CROPS),
        strict=True,
    )
    _settle(model.roi_head, tf.stack([maps[0, y : y + side, x : x + side] for y, x in corners]))
    return model


def _settle(network: keras.Model, inputs: tf.Tensor) -> None:
    layers = [layer for layer in network.layers if isinstance(layer, BatchNormalization)]
    for layer in layers:
        layer.momentum = 0.0
    network(inputs, training=True)


def main() -> None:
    """Exports what the command line names."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--folder", type=Path, required=True)
    flags.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    args = flags.parse_args()
    model, spec = settled_model(args.folder), load_experiment(args.folder / "spec.txt")
    images = [random_scene(2, seed=1).images.transpose(0, 3, 1, 2)]
    ranges = functools.partial(calibrate, images=images, count=2, method="minmax")
    for form in args.forms:
        options = FORMS[form]
        calibration = ranges if options.precision == "int8" else None
        write_onnx(export_onnx(model, spec, options, calibration), args.folder / f"{form}.onnx")


if __name__ == "__main__":
    main()
