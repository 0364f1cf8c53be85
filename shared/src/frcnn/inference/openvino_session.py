"""Runs exported files with OpenVINO, an optional extra that is imported on first use."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frcnn.errors import RunError
from frcnn.exporting.onnx.tensor_names import OUTPUTS
from frcnn.inference.device import gpu_number
from frcnn.inference.runtime_choice import RefusedError, RuntimeChoice, refused_as_model_error

log = logging.getLogger(__name__)

# OpenVINO's names of the types.
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoSession:
    """Graph in OpenVINO; see `Session`."""

    def __init__(self, source: Path | bytes, choice: RuntimeChoice) -> None:
        """Compiles the graph.

        Args:
            source: ONNX file or its content.
            choice: Options.

        Raises:
            RefusedError: OpenVINO cannot load the graph.
            RunError: The device does not exist.
        """
        import openvino

        hint = _HINTS[choice.precision_hint or "fp32"]
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        if choice.threads:
            options["INFERENCE_NUM_THREADS"] = choice.threads
        core = openvino.Core()
        device = _device_name(core.available_devices, choice.device)
        self.on_cpu = device == "CPU"
        self._compile: Callable[[Any], Any] = lambda model: core.compile_model(model, device, options)
        self._compiled: dict[int, Any] = {}
        self._lock = threading.Lock()
        # A request runs one batch at a time, so each thread has its own.
        self._requests = threading.local()
        try:
            # OpenVINO recognizes the format by the suffix, and an unsealed file has no name.
            if isinstance(source, Path) and source.suffix != ".onnx":
                source = source.read_bytes()
            self._model = core.read_model(source)
            batch = self._model.inputs[0].partial_shape[0]
            self.batch_size = batch.get_length() if batch.is_static else None
            # OpenVINO 2026.4.1 gives wrong results for some INT8 graphs with a free batch size.
            self._each_batch = self.batch_size is None and _is_int8(self._model)
            self._request(1)
        except RuntimeError as error:
            raise RefusedError(error) from error
        used = next(iter(self._compiled.values())).get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if used != hint:
            log.warning("precision_hint %s: OpenVINO does not support it on this %s", hint, device)
        log.info("OpenVINO %s runs the model on %s in %s", openvino.__version__, device, used)

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Runs the graph on inputs by name; returns the tensors of `OUTPUTS`."""
        images = len(next(iter(inputs.values())))
        with refused_as_model_error("OpenVINO"):
            answers = self._request(images).infer(dict(inputs), share_inputs=True)
        return [np.array(answers[name]) for name in OUTPUTS]

    def _request(self, images: int) -> Any:
        """Returns this thread's inference request for a batch of this many images."""
        key = images if self._each_batch else 0
        mine: dict[int, Any] = self._requests.__dict__.setdefault("by_batch", {})
        if key not in mine:
            mine[key] = self._for_batch(key).create_infer_request()
        return mine[key]

    def _for_batch(self, images: int) -> Any:
        """Returns the model for a batch size, 0 for any; compiled on first use."""
        with self._lock:
            if images not in self._compiled:
                model = _of_batch(self._model, images) if images else self._model
                self._compiled[images] = self._compile(model)
            return self._compiled[images]


def _device_name(available: Sequence[str], device: str) -> str:
    """Returns OpenVINO's name of a device.

    Raises:
        RunError: A GPU is requested, and OpenVINO finds none.
    """
    number = gpu_number(device)
    if number is None:
        return "CPU"
    found = sorted(each for each in available if each.partition(".")[0] == "GPU")
    wanted = "GPU" if device == "gpu" else f"GPU.{number}"
    if wanted not in found and not (number == 0 and found):
        raise RunError(f"device {device}: OpenVINO finds {', '.join(available)}; expected one of these")
    return wanted if wanted in found else found[0]


def _is_int8(model: Any) -> bool:
    return any(each.get_type_name() == "FakeQuantize" for each in model.get_ops())


def _of_batch(model: Any, images: int) -> Any:
    """Returns a copy of the graph with a fixed batch size."""
    copy = model.clone()
    shapes = {each: each.partial_shape for each in copy.inputs}
    for shape in shapes.values():
        shape[0] = images
    copy.reshape(shapes)
    return copy
