"""Exports one random model in each form that `run_export.py` measures.

`run_export.py` starts this in a separate process, so that TensorFlow's memory does not count elsewhere.
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
from frcnn.settings.exporting import export_settings
from frcnn.settings.model import model_settings
from frcnn.spec import load_experiment

# Export options by file name.
FORMS = {
    "fp32": ExportOptions(),
    "fast_head": ExportOptions(cpu_fast_head=True),
    "int8": ExportOptions(precision="int8", int8_profile="cpu"),
}
CROPS = 32


def _settled_model(folder: Path) -> FasterRCNN:
    """Builds a model with random weights and normalization statistics that fit its activations.

    Training would give such statistics.
    """
    (folder / "spec.txt").write_text(spec_text(batch=1))
    keras.utils.set_random_seed(42)
    model = build(model_settings(load_experiment(folder / "spec.txt")))
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
    """Replaces the statistics of normalization layers by those of the given inputs."""
    layers = [layer for layer in network.layers if isinstance(layer, BatchNormalization)]
    for layer in layers:
        layer.momentum = 0.0
    network(inputs, training=True)


def main() -> None:
    """Exports the requested forms."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--folder", type=Path, required=True, help="output folder")
    flags.add_argument(
        "--forms", nargs="+", choices=FORMS, default=list(FORMS), help="forms to export (default: all)"
    )
    args = flags.parse_args()
    model, spec = _settled_model(args.folder), load_experiment(args.folder / "spec.txt")
    images = [random_scene(2, seed=1).images.transpose(0, 3, 1, 2)]
    ranges = functools.partial(calibrate, images=images, count=2, method="minmax")
    for form in args.forms:
        options = FORMS[form]
        calibration = ranges if options.precision == "int8" else None
        write_onnx(
            export_onnx(model, export_settings(spec), options, calibration), args.folder / f"{form}.onnx"
        )


if __name__ == "__main__":
    main()
