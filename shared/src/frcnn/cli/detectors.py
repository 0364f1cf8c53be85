"""Which kind of model file it is, and the detector in it; evaluate, inference and verify ask here."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.evaluate.detector import Detector
    from frcnn.spec import Experiment

_ARCHIVES = (b"PK\x03\x04", b"\x89HDF")


def load_detector(path: Path, spec: "Experiment", key: str = "", mode: str = "evaluation") -> "Detector":
    """The detector in a model file, trained or exported, sealed or plain.

    Args:
        path: Exists.
        spec: Thresholds, classes and input size.
        key: Of a sealed file.
        mode: `evaluation` or `inference`: whose settings count.

    Raises:
        ModelError: Broken, sealed with another key, or made for other classes or another input size.
    """
    if holds_onnx(path):
        from frcnn.export.onnx_detector import load_onnx_detector

        return load_onnx_detector(path, spec, key, mode=mode)
    from frcnn.model.checkpoint import load_detector as load_trained

    return load_trained(path, spec, key, mode=mode)


def holds_onnx(path: Path) -> bool:
    """Whether the file is an exported model: a sealed one says so, else the name does."""
    from frcnn.runtime.sealed import header_of, is_sealed

    if is_sealed(path):
        return header_of(path).kind == "onnx"
    with path.open("rb") as stream:
        start = stream.read(4)
    return path.suffix in (".onnx", ".etlt") and start not in _ARCHIVES
