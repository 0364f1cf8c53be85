"""Writes the two text files that DeepStream needs next to a model."""

from collections.abc import Sequence
from pathlib import Path

from frcnn.data.transforms.preprocess import ImageSettings
from frcnn.files import write_text

LABELS = "labels.txt"
CONFIG = "nvinfer_config.txt"
_COLOR_FORMATS = {"rgb": 0, "bgr": 1, "l": 2}


def labels_text(class_names: Sequence[str]) -> str:
    """Returns one class name per line, in the order of class ids; background is last."""
    return "".join(f"{name}\n" for name in (*class_names, "background"))


def config_text(class_names: Sequence[str], settings: ImageSettings) -> str:
    """Returns the model's part of an nvinfer configuration: preprocessing, classes and input.

    The key is left out: DeepStream reads plain ONNX and cannot open sealed files.
    """
    values = {
        "net-scale-factor": f"{1.0 / settings.scale:.9g}",
        "offsets": ";".join(f"{mean:.9g}" for mean in settings.mean),
        "infer-dims": f"{settings.channels};{settings.height};{settings.width}",
        "tlt-model-key": "",
        "network-type": 0,
        "num-detected-classes": len(class_names) + 1,
        "model-color-format": _COLOR_FORMATS[settings.order],
        "maintain-aspect-ratio": 0,
        "output-tensor-meta": 0,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def write_deepstream_files(folder: Path, class_names: Sequence[str], settings: ImageSettings) -> list[Path]:
    """Writes both files to `folder`; returns their paths."""
    texts = {LABELS: labels_text(class_names), CONFIG: config_text(class_names, settings)}
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]
