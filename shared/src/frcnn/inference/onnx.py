"""Exported files as detectors: what evaluation and inference call, run by ONNX Runtime or OpenVINO."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from frcnn.errors import ModelError
from frcnn.exporting.onnx.tensor_names import INPUT, SIZE_INPUT
from frcnn.exporting.onnx_guard import load_guarded
from frcnn.exporting.record import PROPERTY, ExportRecord
from frcnn.inference.onnx_sessions import RuntimeChoice, Session, open_session
from frcnn.model.detector import DetectionBatch, checked_sizes
from frcnn.model.settings import DetectionSettings
from frcnn.model.spec_settings import detection_settings, geometry_of
from frcnn.sealing.sealed_file import opened

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

log = logging.getLogger(__name__)


class OnnxDetector:
    """A detector in an exported file; its proposals are not among its outputs."""

    def __init__(self, session: Session, record: ExportRecord) -> None:
        """`session` runs a standard graph that `record` describes."""
        self.record = record
        self._session = session

    @property
    def batch_size(self) -> int | None:
        """Number of images that the file is made for; None for any."""
        return self._session.batch_size

    def __call__(self, images: np.ndarray, sizes: np.ndarray | None = None) -> DetectionBatch:
        """Detections of network-ready images, float32 [B, H, W, channels], of `sizes` as `Detector` says."""
        size = self._session.batch_size or len(images)
        sizes = checked_sizes(images, sizes, self.record.geometry.stride)
        chunks = [
            self._run(images[start : start + size], sizes[start : start + size], size)
            for start in range(0, len(images), size)
        ]
        boxes, scores, classes, count = (np.concatenate(each) for each in zip(*chunks, strict=True))
        return DetectionBatch(boxes, scores, classes, count)

    def _run(self, images: np.ndarray, sizes: np.ndarray, size: int) -> list[np.ndarray]:
        count = len(images)
        filled = np.concatenate([images, np.zeros((size - count, *images.shape[1:]), images.dtype)])
        channels_first = np.ascontiguousarray(filled.transpose(0, 3, 1, 2), np.float32)
        inputs = {INPUT: channels_first}
        if self.record.geometry.dynamic:
            inputs[SIZE_INPUT] = np.resize(sizes, (size, 2)).astype(np.int32)
        return [each[:count] for each in self._session.run(inputs)]


def load_onnx_detector(
    path: Path,
    spec: "Experiment | None",
    key: str = "",
    mode: str = "evaluation",
    runtime: RuntimeChoice | None = None,
) -> OnnxDetector:
    """The detector in an exported file.

    Args:
        path: `.onnx`, or a sealed `.etlt`.
        spec: Says which classes and input size are expected; None for those of the file.
        key: Of a sealed file.
        mode: `evaluation` or `inference`: whose settings the file's are compared with.
        runtime: What runs it; ONNX Runtime unless said otherwise.

    Raises:
        ModelError: Missing, broken, sealed with another key, not one of ours, a plugin graph, or the
            spec wants other classes or another input size.
        RunError: The runtime is not installed.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    with opened(path, key, "onnx") as plain:
        record = read_record(plain, path)
        if record.graph != "standard":
            raise ModelError(
                f"{path}: holds TensorRT plugins, which only TensorRT runs; export it with the standard graph"
            )
        if spec is not None:
            check_record(record, spec, path, mode)
        session = open_session(plain, path, runtime or RuntimeChoice(), looked_through=True)
    return OnnxDetector(session, record)


def read_record(plain: Path, shown: Path) -> ExportRecord:
    """What an ONNX file says about itself.

    Args:
        plain: The file.
        shown: How messages call it.

    Raises:
        ModelError: It is no ONNX file, or not one of ours.
    """
    model = load_guarded(plain, shown)
    texts = {each.key: each.value for each in model.metadata_props}
    try:
        return ExportRecord.from_json(texts[PROPERTY])
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"{shown}: an ONNX file, but not a detector exported by this version of the program"
        ) from error


def check_record(record: ExportRecord, spec: "Experiment", path: Path, mode: str) -> None:
    """Compares what a file is for with what the spec wants; settings that differ are a warning.

    Args:
        record: What the file says.
        spec: Classes, input size, and the settings of `mode`.
        path: How messages call the file.
        mode: `evaluation` or `inference`.

    Raises:
        ModelError: Other classes, or another input size.
    """
    _check_fits(record, spec, path)
    config = spec.inference_config if mode == "inference" else spec.evaluation_config
    _warn_of_differences(record.settings, detection_settings(config), f"{mode}_config", path)


def _check_fits(record: ExportRecord, spec: "Experiment", path: Path) -> None:
    have, wanted = record.geometry, geometry_of(spec)
    if have.class_names != tuple(spec.class_names):
        raise ModelError(
            f"{path}: exported for classes {', '.join(have.class_names)}; "
            f"the spec maps to {', '.join(spec.class_names)}"
        )
    if (have.height, have.width) != (wanted.height, wanted.width):
        raise ModelError(f"{path}: exported for input {have.size_text}; the spec says {wanted.size_text}")


def _warn_of_differences(
    have: DetectionSettings, wanted: DetectionSettings, section: str, path: Path
) -> None:
    if have != wanted:
        log.warning(
            "%s: proposals and NMS are fixed in the file and differ from %s of the spec: "
            "it has %s, the spec says %s",
            *(path, section, have, wanted),
        )
