"""Runs TensorRT engines as detectors, with TensorRT 10.13 to 11.x; untested on a GPU.

Supports engines of both graphs, including existing TAO engines. pyright checks this file, as it does
`engine.py`.
"""

import logging
import math
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from frcnn.errors import ModelError, RunError, UsageError
from frcnn.exporting.onnx.tensor_names import OUTPUTS, PLUGIN_OUTPUTS
from frcnn.exporting.record import ExportRecord
from frcnn.exporting.tensorrt.cuda_driver import CudaDriver
from frcnn.exporting.tensorrt.engine import require_tensorrt
from frcnn.inference.device import gpu_number
from frcnn.inference.onnx import check_record
from frcnn.model.detector import DetectionBatch

if TYPE_CHECKING:
    import tensorrt as trt

    from frcnn.model.settings import ExpectedModel

log = logging.getLogger(__name__)


class EngineDetector:
    """Detector run by TensorRT; its outputs do not include the proposals.

    Thread-safe; calls wait for each other, because the engine's memory holds one batch.
    """

    def __init__(
        self, engine: "trt.ICudaEngine", driver: CudaDriver, record: ExportRecord | None = None
    ) -> None:
        """Creates a detector.

        Args:
            engine: Engine of a standard or plugin graph.
            driver: CUDA driver.
            record: Export record in the engine; None if it has none.
        """
        import tensorrt as trt

        self.record = record
        self._engine, self._driver = engine, driver
        self._context = engine.create_execution_context()
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self._inputs = [each for each in names if engine.get_tensor_mode(each) == trt.TensorIOMode.INPUT]
        self._outputs = [each for each in names if each not in self._inputs]
        batch, *sides = (int(side) for side in engine.get_tensor_shape(self._inputs[0]))
        self.input_shape = tuple(sides)
        if batch == -1:
            shapes = engine.get_tensor_profile_shape(self._inputs[0], 0)
            self._fewest, self._most = int(shapes[0][0]), int(shapes[2][0])
        else:
            self._fewest = self._most = batch
        self._memory: dict[str, tuple[int, int]] = {}  # address and bytes of each tensor
        self._lock = threading.Lock()

    @property
    def names(self) -> frozenset[str]:
        """Names of the outputs."""
        return frozenset(self._outputs)

    @property
    def batch_size(self) -> int:
        """Maximum number of images per batch."""
        return self._most

    def close(self) -> None:
        """Frees the engine's memory on the device; the detector can no longer be called."""
        with self._lock:
            self._driver.use()
            for address, _ in self._memory.values():
                self._driver.free(address)
            self._memory.clear()

    def __call__(self, images: np.ndarray, sizes: np.ndarray | None = None) -> DetectionBatch:
        """Detects the objects in preprocessed images.

        Args:
            images: Images, float32 `[B, H, W, channels]`.
            sizes: Ignored; an engine has a fixed input size.

        Returns:
            The detections, without proposals.
        """
        starts = range(0, len(images), self._most)
        with self._lock:
            self._driver.use()
            chunks = [self._run(images[start : start + self._most]) for start in starts]
        boxes, scores, classes, count = (np.concatenate(each) for each in zip(*chunks, strict=True))
        return DetectionBatch(boxes, scores, classes, count)

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        count = len(images)
        missing = max(self._fewest - count, 0)
        filled = np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)])
        answers = self._execute(np.ascontiguousarray(filled.transpose(0, 3, 1, 2), np.float32))
        if self.names.issuperset(OUTPUTS):
            found = [answers[name] for name in OUTPUTS]
        else:
            rows, counts = (answers[name] for name in PLUGIN_OUTPUTS)
            found = from_plugin(rows, counts, *self.input_shape[1:])
        return [each[:count] for each in found]

    def _execute(self, images: np.ndarray) -> dict[str, np.ndarray]:
        import tensorrt as trt

        context, driver, (name,) = self._context, self._driver, self._inputs
        if not context.set_input_shape(name, list(images.shape)):
            raise ModelError(f"the engine does not accept inputs of shape {list(images.shape)}")
        driver.to_device(self._place(name, images.nbytes), images)
        answers = {}
        for each in self._outputs:
            shape = tuple(int(side) for side in context.get_tensor_shape(each))
            kind = np.dtype(trt.nptype(self._engine.get_tensor_dtype(each)))
            answers[each] = np.empty(shape, kind)
            self._place(each, math.prod(shape) * kind.itemsize)
        if not context.execute_async_v3(driver.stream):
            raise ModelError("the engine failed; see TensorRT's log above")
        for each, array in answers.items():
            driver.to_host(array, self._memory[each][0])
        driver.wait()
        return answers

    def _place(self, name: str, size: int) -> int:
        """Returns the address of a tensor's memory, of at least `size` bytes."""
        address, room = self._memory.get(name, (0, -1))
        if room < size:
            if address:
                self._driver.free(address)
            address = self._driver.allocate(size)
            self._memory[name] = address, size
        self._context.set_tensor_address(name, address)
        return address


def from_plugin(rows: np.ndarray, counts: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """Converts the outputs of the NMS plugin.

    Args:
        rows: Image, class, score, x1, y1, x2, y2 in 0..1, `[B, 1, K, 7]`.
        counts: Numbers of rows that are detections, int32 `[B, 1, 1, 1]`.
        height: Height of the network input, px.
        width: Width of the network input, px.

    Returns:
        List of boxes, `yxyx` in pixels, `[B, K, 4]`, scores `[B, K]`, classes `[B, K]` and counts `[B]`.
    """
    count = counts.reshape(len(rows)).astype(np.int32)
    rows = rows.reshape(len(rows), -1, 7)
    real = np.arange(rows.shape[1]) < count[:, None]
    boxes = rows[..., [4, 3, 6, 5]] * np.array([height, width, height, width], np.float32)
    return [
        np.where(real[..., None], boxes, 0.0).astype(np.float32),
        np.where(real, rows[..., 2], 0.0).astype(np.float32),
        np.where(real, rows[..., 1], 0.0).astype(np.int32),
        count,
    ]


def load_engine_detector(
    path: Path, expected: "ExpectedModel | None", device: str = "auto"
) -> EngineDetector:
    """Loads the detector in an engine.

    Args:
        path: TensorRT plan, built by `frcnn engine build` or another program.
        expected: Expected classes, input size and settings; None to accept those of the engine.
        device: `auto`, `gpu` or `gpu:<number>`.

    Returns:
        The detector.

    Raises:
        ModelError: The file is not an engine or was built by another TensorRT version; or the spec has other
            classes or another input size.
        UsageError: The device is `cpu`, or its name is invalid.
        RunError: There is no GPU, or TensorRT is not installed.
    """
    number = gpu_number(device)
    if device == "cpu":
        raise UsageError(f"device cpu: {path} is a TensorRT engine, which runs on a GPU", argument="device")
    try:
        driver = CudaDriver(number=number or 0)
        require_tensorrt()
    except RunError as error:
        raise RunError(f"{path}: recognized as a TensorRT engine by its name. {error}") from error
    import tensorrt as trt

    logger = trt.Logger(trt.Logger.WARNING)
    trt.init_libnvinfer_plugins(logger, "")
    engine = trt.Runtime(logger).deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise ModelError(
            f"{path}: not an engine of TensorRT {trt.__version__} for this GPU; build it on this machine"
        )
    record = _record_of(engine, path)
    if record is not None and expected is not None:
        check_record(record, expected, path)
    detector = EngineDetector(engine, driver, record)
    _check_tensors(detector, expected, path)
    return detector


def _record_of(engine: "trt.ICudaEngine", path: Path) -> ExportRecord | None:
    try:
        return ExportRecord.from_json(engine.name)
    except (KeyError, ValueError, TypeError):
        log.info("%s: built by another program; using classes and thresholds of the spec", path)
        return None


def _check_tensors(detector: EngineDetector, expected: "ExpectedModel | None", path: Path) -> None:
    if not any(detector.names.issuperset(wanted) for wanted in (OUTPUTS, PLUGIN_OUTPUTS)):
        raise ModelError(
            f"{path}: not a detector: the engine has the outputs {', '.join(sorted(detector.names))}"
        )
    wanted = expected.geometry if expected is not None else None
    sides = detector.input_shape[1:]
    if wanted is not None and not wanted.dynamic and sides != (wanted.height, wanted.width):
        have = "x".join(map(str, sides))
        raise ModelError(
            f"{path}: built for input {have} (height x width); the spec says {wanted.height}x{wanted.width}"
        )
