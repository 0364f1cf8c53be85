"""Opens a model file of any kind as a `Detector`, with the settings in the file."""

import dataclasses
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from frcnn.errors import ModelError, RunError, UsageError
from frcnn.inference.detector import Detector, DetectorSettings
from frcnn.inference.device import gpu_number
from frcnn.inference.model_kind import Kind, kind_of, wrong_runtime

if TYPE_CHECKING:
    from frcnn.exporting.record import ExportRecord
    from frcnn.inference.runtime_choice import RuntimeChoice
    from frcnn.model.batch_detector import DetectionBatch
    from frcnn.model.batch_detector import Detector as BatchDetector
    from frcnn.model.files.training_record import TrainingRecord
    from frcnn.model.settings import ExpectedModel
    from frcnn.settings.inference import PredictionSettings

Runtime: TypeAlias = Literal["auto", "keras", "onnxruntime", "openvino", "tensorrt"]
PrecisionHint: TypeAlias = Literal["fp32", "bf16", "fp16"]

ENGINE_SUFFIXES = (".engine", ".plan", ".trt")
_RUNTIMES: dict[Kind, tuple[str, ...]] = {
    "keras": ("keras",),
    "onnx": ("onnxruntime", "openvino"),
    "engine": ("tensorrt",),
}


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Runtime, device and options of a model; `frcnn.load` describes the values."""

    runtime: str = "auto"
    device: str = "auto"
    precision_hint: str | None = None
    threads: int = 0
    as_is: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for an invalid value."""
        _one_of("runtime", self.runtime, get_args(Runtime))
        gpu_number(self.device)
        if self.precision_hint is not None:
            _one_of("precision_hint", self.precision_hint, get_args(PrecisionHint))
        if isinstance(self.threads, bool) or not isinstance(self.threads, int) or self.threads < 0:
            raise UsageError(f"threads {self.threads!r}: expected 0 or more", argument="threads")

    def for_kind(self, kind: Kind, path: Path) -> str:
        """Returns the runtime for a kind of model file.

        Args:
            kind: Kind of the file.
            path: Model file, for messages.

        Returns:
            Name of the runtime.

        Raises:
            UsageError: The requested runtime cannot run such files, or does not support an option.
        """
        allowed = _RUNTIMES[kind]
        if self.runtime != "auto" and self.runtime not in allowed:
            raise wrong_runtime(path, kind, self.runtime)
        runtime = allowed[0] if self.runtime == "auto" else self.runtime
        if self.precision_hint and runtime != "openvino":
            raise UsageError(
                f"precision_hint {self.precision_hint}: only the runtime openvino takes one, not {runtime}",
                argument="precision_hint",
            )
        if self.threads and kind != "onnx":
            raise UsageError(f"threads {self.threads}: only exported models support it", argument="threads")
        return runtime

    def choice(self, runtime: str) -> "RuntimeChoice":
        """Returns the runtime options for an exported model."""
        from frcnn.inference.runtime_choice import RuntimeChoice

        hint = self.precision_hint or ""
        return RuntimeChoice(runtime, hint, self.threads, not self.as_is, self.device)


def open_model(
    path: Path, options: RunOptions, given: "PredictionSettings | None" = None, key: str = ""
) -> Detector:
    """Loads the detector in a model file.

    Args:
        path: Trained model, exported model or TensorRT engine; sealed or plain.
        options: Runtime, device and options.
        given: Settings that replace those in the file.
        key: Key of a sealed file; empty for a plain one.

    Returns:
        The detector.

    Raises:
        ModelError: The file is missing, broken, not a model, sealed with another key, or made for other
            classes or another input size than the given ones.
        UsageError: The runtime cannot run such a file.
        RunError: The runtime is not installed, or the device does not exist.
    """
    kind = recognized(path, options.runtime)
    runtime = options.for_kind(kind, path)
    if kind == "keras":
        return _trained(path, options, given, key)
    if kind == "onnx":
        return _exported(path, options.choice(runtime), given, key)
    return _engine(path, options, given)


def open_for_batches(path: Path, expected: "ExpectedModel", key: str, options: RunOptions) -> "BatchDetector":
    """Loads a detector that takes preprocessed batches.

    Args:
        path: Trained model, exported model or TensorRT engine; sealed or plain.
        expected: Expected classes and input size, and settings of the detections.
        key: Key of a sealed file; empty for a plain one.
        options: Runtime, device and options.

    Returns:
        Function from preprocessed images to detections.

    Raises:
        ModelError: The file is broken, sealed with another key, or made for other classes or another input
            size.
        UsageError: The runtime cannot run such a file.
        RunError: The runtime is not installed, or the device does not exist.
    """
    kind = kind_of(path)
    runtime = options.for_kind(kind, path)
    if kind == "onnx":
        from frcnn.inference.onnx import load_onnx_detector

        return load_onnx_detector(path, expected, key, options.choice(runtime))
    if kind == "engine":
        from frcnn.inference.tensorrt import load_engine_detector

        return load_engine_detector(path, expected, options.device)
    from frcnn.model.files.trained_detector import load_detector
    from frcnn.settings.inference import warn_of_other_input

    def compare(record: "TrainingRecord") -> None:
        warn_of_other_input(record.spec_text, expected.image, path)

    detector = load_detector(path, expected, key, compare)
    return detector if options.device == "auto" else OnDevice(detector, options.device)


def recognized(path: Path, runtime: str = "auto") -> Kind:
    """Returns the kind of a model file; an unknown suffix alone does not make it an engine.

    Args:
        path: Model file.
        runtime: Requested runtime; `tensorrt` accepts an engine with any name.

    Returns:
        Kind of the file.

    Raises:
        ModelError: The file is missing or not a model.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    kind = kind_of(path)
    if kind == "engine" and path.suffix not in ENGINE_SUFFIXES and runtime != "tensorrt":
        raise ModelError(
            f"{path}: not a model; expected a trained one (.keras, .tlt, .hdf5), an exported one (.onnx, "
            f".etlt) or a TensorRT engine ({', '.join(ENGINE_SUFFIXES)}, or any name with runtime tensorrt)"
        )
    return kind


def _trained(path: Path, options: RunOptions, given: "PredictionSettings | None", key: str) -> Detector:
    from frcnn.model.files.checkpoint import check_finite, load_model
    from frcnn.model.files.trained_detector import check_fits
    from frcnn.model.keras_detector import KerasDetector
    from frcnn.settings.inference import settings_in, warn_of_other_input

    model, record = load_model(path, key)
    check_finite(model, path)
    found = settings_in(record.spec_text, path) if given is None else given
    if given is not None:
        check_fits(model, given.expected.geometry, path)
        warn_of_other_input(record.spec_text, given.image, path)
    detect = KerasDetector(model, found.expected.detection)
    names = model.geometry.class_names
    settings = DetectorSettings(found.image, names, found.score_threshold, found.batch_size, "keras")
    return Detector(OnDevice(detect, options.device), settings)


def _exported(path: Path, choice: "RuntimeChoice", given: "PredictionSettings | None", key: str) -> Detector:
    from frcnn.inference.onnx import load_onnx_detector

    detect = load_onnx_detector(path, given.expected if given else None, key, choice)
    settings = _settings(detect.record, given, detect.batch_size or 1, choice.name, path)
    return Detector(detect, settings)


def _engine(path: Path, options: RunOptions, given: "PredictionSettings | None") -> Detector:
    from frcnn.inference.tensorrt import load_engine_detector

    detect = load_engine_detector(path, given.expected if given else None, options.device)
    settings = _settings(detect.record, given, detect.batch_size, "tensorrt", path)
    return Detector(detect, settings, detect.close)


def _settings(
    record: "ExportRecord | None",
    given: "PredictionSettings | None",
    batch_size: int,
    runtime: str,
    path: Path,
) -> DetectorSettings:
    if given is not None:
        names, batch_size = given.expected.geometry.class_names, max(batch_size, given.batch_size)
        return DetectorSettings(given.image, names, given.score_threshold, batch_size, runtime)
    if record is None:
        raise UsageError(
            f"spec is missing: {path} was built by another program and does not contain its class names",
            argument="spec",
        )
    try:
        image = record.images
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: exported by an incompatible version of this program; export it again"
        ) from error
    return DetectorSettings(
        image, record.geometry.class_names, record.visualize_threshold, batch_size, runtime
    )


class OnDevice:
    """Trained detector on a TensorFlow device; threads wait only during compilation."""

    def __init__(self, detect: "BatchDetector", device: str) -> None:
        """Creates a detector on a device.

        Args:
            detect: Detector to run.
            device: `auto`, `cpu`, `gpu` or `gpu:<number>`.

        Raises:
            UsageError: The device name is invalid.
            RunError: The device does not exist.
        """
        import tensorflow as tf

        number = gpu_number(device)
        if number is not None:
            found = len(tf.config.list_physical_devices("GPU"))
            if number >= found:
                raise RunError(f"device {device}: TensorFlow finds {found} GPUs")
        self._detect = detect
        self._name = {"auto": None, "cpu": "CPU:0"}.get(device, f"GPU:{number}")
        self._compiled: set[tuple[int, ...]] = set()
        self._compiling = threading.Lock()

    def __call__(self, images: np.ndarray, sizes: np.ndarray | None = None) -> "DetectionBatch":
        """Detects the objects in preprocessed images, as `frcnn.model.batch_detector.Detector`."""
        if images.shape in self._compiled:
            return self._run(images, sizes)
        with self._compiling:
            found = self._run(images, sizes)
            self._compiled.add(images.shape)
        return found

    def _run(self, images: np.ndarray, sizes: np.ndarray | None) -> "DetectionBatch":
        if self._name is None:
            return self._detect(images, sizes)
        import tensorflow as tf

        with tf.device(self._name):
            return self._detect(images, sizes)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} {value!r}: expected one of {', '.join(allowed)}", argument=name)
