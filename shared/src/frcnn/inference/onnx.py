"""Detectors in exported files, run by ONNX Runtime or OpenVINO, for evaluation and inference."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from frcnn.cpu import saturates_int8
from frcnn.errors import ModelError
from frcnn.exporting.onnx.tensor_names import INPUT, OUTPUTS, SIZE_INPUT
from frcnn.exporting.onnx_guard import load_guarded
from frcnn.exporting.record import PROPERTY, ExportRecord
from frcnn.inference.int8_saturation import WARNING, has_saturating_weights
from frcnn.inference.onnx_sessions import open_session
from frcnn.inference.runtime_choice import RuntimeChoice, Session
from frcnn.model.detector import DetectionBatch, checked_sizes
from frcnn.model.settings import DetectionSettings, ExpectedModel, Geometry, check_geometry
from frcnn.sealing.sealed_file import opened

log = logging.getLogger(__name__)


class OnnxDetector:
    """Detector in an exported file; its outputs do not include the proposals."""

    def __init__(self, session: Session, record: ExportRecord) -> None:
        """Creates a detector.

        Args:
            session: Session that runs a standard graph.
            record: Description of the graph, from the file.
        """
        self.record = record
        self._session = session

    @property
    def batch_size(self) -> int | None:
        """Fixed batch size of the file; None for any."""
        return self._session.batch_size

    def __call__(self, images: np.ndarray, sizes: np.ndarray | None = None) -> DetectionBatch:
        """Detects the objects in preprocessed images.

        Args:
            images: Images, float32 `[B, H, W, channels]`.
            sizes: Heights and widths of the images without padding, int `[B, 2]`, px; None without padding.

        Returns:
            The detections, without proposals.
        """
        size = self._session.batch_size or len(images)
        sizes = checked_sizes(images, sizes, self.record.geometry.stride)
        chunks = [
            self._run(images[start : start + size], sizes[start : start + size], size)
            for start in range(0, len(images), size)
        ]
        found = DetectionBatch(*(np.concatenate(each) for each in zip(*chunks, strict=True)))
        _check_outputs(found, len(images), len(self.record.geometry.class_names))
        return found

    def _run(self, images: np.ndarray, sizes: np.ndarray, size: int) -> list[np.ndarray]:
        count = len(images)
        filled = np.concatenate([images, np.zeros((size - count, *images.shape[1:]), images.dtype)])
        channels_first = np.ascontiguousarray(filled.transpose(0, 3, 1, 2), np.float32)
        inputs = {INPUT: channels_first}
        if self.record.geometry.dynamic:
            inputs[SIZE_INPUT] = np.resize(sizes, (size, 2)).astype(np.int32)
        return [each[:count] for each in self._session.run(inputs)]


def _check_outputs(found: DetectionBatch, images: int, classes: int) -> None:
    """Checks the outputs of a graph, which is untrusted.

    Raises:
        ModelError: They are not detections of these classes.
    """
    slots = found.scores.shape[-1] if found.scores.ndim == 2 else -1
    shapes = [(images, slots, 4), (images, slots), (images, slots), (images,)]
    if [each.shape for each in (found.boxes, found.scores, found.classes, found.count)] != shapes or (
        not all(np.issubdtype(each.dtype, np.integer) for each in (found.classes, found.count))
        or not np.all((found.count >= 0) & (found.count <= slots))
        or not np.all((found.classes >= 0) & (found.classes < classes))
    ):
        raise ModelError("The model's outputs are not detections of its classes. Export it again.")


def load_onnx_detector(
    path: Path, expected: ExpectedModel | None, key: str = "", runtime: RuntimeChoice | None = None
) -> OnnxDetector:
    """Loads the detector in an exported file.

    Args:
        path: `.onnx` file, or sealed `.etlt` file.
        expected: Expected classes, input size and settings; None to accept those of the file.
        key: Key of a sealed file; empty for a plain one.
        runtime: Runtime; None for ONNX Runtime.

    Returns:
        The detector.

    Raises:
        ModelError: The file is missing, broken, sealed with another key, not exported by this program, or a
            plugin graph; or the spec has other classes or another input size.
        RunError: The runtime is not installed.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    facts = _ParsedFile(path, expected)
    with opened(path, key, "onnx") as plain:
        session = open_session(plain, path, runtime or RuntimeChoice(), facts.read)
    if facts.saturating and session.on_cpu and saturates_int8():
        log.warning(WARNING, path)
    return OnnxDetector(session, facts.record)


class _ParsedFile:
    """Properties of a file that outlive its parsed content."""

    record: ExportRecord
    saturating: bool

    def __init__(self, path: Path, expected: ExpectedModel | None) -> None:
        self._path, self._expected = path, expected

    def read(self, model: Any) -> None:
        """Reads the record and checks whether this program runs such a model as expected."""
        self.record = _record_of(model, self._path)
        if self.record.graph != "standard":
            raise ModelError(
                f"{self._path}: contains plugins that only TensorRT runs. Export it with the standard graph."
            )
        _check_interface(self.record.geometry, model, self._path)
        if self._expected is not None:
            check_record(self.record, self._expected, self._path)
        self.saturating = has_saturating_weights(model)


def read_record(plain: Path, shown: Path) -> ExportRecord:
    """Reads the export record in an ONNX file.

    Args:
        plain: Plain file.
        shown: Path of the file in messages.

    Returns:
        The record.

    Raises:
        ModelError: The file is not an ONNX file, or was not exported by this program.
    """
    return _record_of(load_guarded(plain, shown), shown)


def _record_of(model: Any, shown: Path) -> ExportRecord:
    texts = {each.key: each.value for each in model.metadata_props}
    try:
        return ExportRecord.from_json(texts[PROPERTY])
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"{shown}: an ONNX file, but not a detector exported by this version of the program"
        ) from error


def _check_interface(geometry: Geometry, model: Any, path: Path) -> None:
    """Checks that a graph has the inputs and outputs that its record describes."""
    inputs = [INPUT, SIZE_INPUT] if geometry.dynamic else [INPUT]
    outputs = {each.name for each in model.graph.output}
    shape = [each.type.tensor_type.shape.dim for each in model.graph.input if each.name == INPUT]
    sides = (geometry.channels, geometry.height, geometry.width)
    fits = sorted(each.name for each in model.graph.input) == sorted(inputs) and outputs >= {*OUTPUTS}
    if (
        not fits
        or len(shape[0]) != len(sides) + 1
        or any(
            side is not None and dim.HasField("dim_value") and dim.dim_value != side
            for side, dim in zip(sides, shape[0][1:], strict=True)
        )
    ):
        raise ModelError(
            f"{path}: the graph has other inputs or outputs than its record says. The file is damaged or was "
            "changed; export it again."
        )


def check_record(record: ExportRecord, expected: ExpectedModel, path: Path) -> None:
    """Checks whether an exported file matches a spec; different settings only cause a warning.

    Args:
        record: Record in the file.
        expected: Classes, input size and settings in the spec.
        path: Path of the file in messages.

    Raises:
        ModelError: Classes or input size differ.
    """
    check_geometry(record.geometry, expected.geometry, f"{path}: exported")
    _warn_of_differences(record.settings, expected.detection, expected.section, path)
    _warn_of_other_input(record, expected, path)


def _warn_of_other_input(record: ExportRecord, expected: ExpectedModel, path: Path) -> None:
    try:
        found = record.images
    except (KeyError, TypeError, ValueError):  # of another version; settings of the spec are used
        return
    if expected.image is not None and (differences := expected.image.differences(found)):
        log.warning("%s: exported for other images than the spec says: %s", path, "; ".join(differences))


def _warn_of_differences(
    have: DetectionSettings, wanted: DetectionSettings, section: str, path: Path
) -> None:
    if have != wanted:
        log.warning(
            "%s: proposals and NMS are fixed in the file and differ from %s of the spec: "
            "the file has %s, the spec has %s",
            *(path, section, have, wanted),
        )
