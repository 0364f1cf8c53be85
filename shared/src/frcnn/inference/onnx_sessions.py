"""Runtimes for exported files, ONNX Runtime and OpenVINO, behind one small face.

Both are imported when they are asked for: OpenVINO is in an extra of its own.
"""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from frcnn.errors import ModelError, RunError, UsageError
from frcnn.exporting.onnx.fast_head import with_fast_head
from frcnn.exporting.onnx.tensor_names import OUTPUTS

log = logging.getLogger(__name__)

_CPU = "CPUExecutionProvider"
# Fastest first; what is not there is left out.
PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", _CPU)
# What OpenVINO calls the types.
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_ERRORS_ONLY = 3


@dataclasses.dataclass(frozen=True)
class RuntimeChoice:
    """What runs a file, and how.

    Attributes:
        name: `onnxruntime` or `openvino`.
        precision_hint: What OpenVINO may compute float32 layers in: `fp32`, `bf16` or `fp16`; empty for fp32.
        threads: At most so many; 0 for as many as the runtime wants.
        fast_head: On a CPU, give the head's 3x3 convolutions the form that `export --cpu_fast_head` writes.
    """

    name: str = "onnxruntime"
    precision_hint: str = ""
    threads: int = 0
    fast_head: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for a hint to a runtime that takes none."""
        if self.precision_hint and self.name != "openvino":
            raise UsageError(
                f"--precision_hint {self.precision_hint}: only OpenVINO takes one; add --runtime openvino"
            )


class Session(Protocol):
    """A standard graph, ready to run.

    Attributes:
        batch_size: How many images it takes; None for any number.
    """

    batch_size: int | None

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """`OUTPUTS` of inputs by name."""


def open_session(plain: Path, shown: Path, choice: RuntimeChoice) -> Session:
    """The standard graph in an ONNX file, in the runtime of choice.

    Args:
        plain: The file; not needed any more when this returns.
        shown: How messages call it.
        choice: Runtime and settings.

    Raises:
        ModelError: The runtime refuses the file.
        RunError: The runtime is not installed.
    """
    make = _OpenVino if choice.name == "openvino" else _OnnxRuntime
    try:
        return make(plain, choice)
    except ImportError as error:
        extra = "openvino" if choice.name == "openvino" else "export"
        raise RunError(
            f"--runtime {choice.name}: the package {choice.name} cannot be imported ({error}); "
            f"pip install 'frcnn[{extra}]'"
        ) from error
    except _RefusedError as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{shown}: {choice.name} cannot run it: {reason}") from error


class _RefusedError(Exception):
    """The runtime's own error on loading a file."""


def _source(plain: Path, choice: RuntimeChoice) -> Path | bytes:
    """What a CPU runs: the file, or its graph with the faster head."""
    if not choice.fast_head:
        return plain
    import onnx
    from google.protobuf.message import DecodeError

    try:
        faster = with_fast_head(onnx.load(plain), transformed=False)
    except (DecodeError, onnx.shape_inference.InferenceError):
        return plain  # the runtime will say what is wrong with it
    if faster is None:
        return plain
    log.info("the head's 3x3 convolutions run in their form for CPUs (not with --as_is)")
    return bytes(faster.SerializeToString())


class _OnnxRuntime:
    def __init__(self, plain: Path, choice: RuntimeChoice) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = choice.threads
        installed = onnxruntime.get_available_providers()
        wanted = [each for each in PROVIDERS if each in installed]
        refusals = (errors.Fail, errors.InvalidGraph, errors.InvalidArgument, errors.NotImplemented)
        try:
            source = _source(plain, choice) if wanted == [_CPU] else plain
            self._session = onnxruntime.InferenceSession(source, options, providers=wanted)
        except refusals as error:
            raise _RefusedError(error) from error
        batch = self._session.get_inputs()[0].shape[0]
        self.batch_size = batch if isinstance(batch, int) else None
        # Not always what was wanted: a GPU provider without its GPU drops out.
        used = ", then ".join(
            each.removesuffix("ExecutionProvider") for each in self._session.get_providers()
        )
        log.info("ONNX Runtime %s runs the model on: %s", onnxruntime.__version__, used)

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return list(self._session.run(OUTPUTS, dict(inputs)))


class _OpenVino:
    def __init__(self, plain: Path, choice: RuntimeChoice) -> None:
        import openvino

        hint = _HINTS[choice.precision_hint or "fp32"]
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        if choice.threads:
            options["INFERENCE_NUM_THREADS"] = choice.threads
        core = openvino.Core()
        self._compile: Callable[[Any], Any] = lambda model: core.compile_model(model, "CPU", options)
        self._requests: dict[int, Any] = {}
        try:
            self._model = core.read_model(_source(plain, choice))
            batch = self._model.inputs[0].partial_shape[0]
            self.batch_size = batch.get_length() if batch.is_static else None
            # OpenVINO 2026.4.1 computes some INT8 graphs of a free batch wrongly.
            self._each_batch = self.batch_size is None and _is_int8(self._model)
            self._request(1)
        except RuntimeError as error:
            raise _RefusedError(error) from error
        log.info("OpenVINO %s runs the model on the CPU in %s", openvino.__version__, hint)

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        images = len(next(iter(inputs.values())))
        answers = self._request(images).infer(dict(inputs), share_inputs=True)
        return [np.array(answers[name]) for name in OUTPUTS]

    def _request(self, images: int) -> Any:
        """Runs so many images; compiled when it is first asked for."""
        key = images if self._each_batch else 0
        if key not in self._requests:
            model = _of_batch(self._model, images) if self._each_batch else self._model
            self._requests[key] = self._compile(model).create_infer_request()
        return self._requests[key]


def _is_int8(model: Any) -> bool:
    return any(each.get_type_name() == "FakeQuantize" for each in model.get_ops())


def _of_batch(model: Any, images: int) -> Any:
    """A copy of the graph with the number of images written into it."""
    copy = model.clone()
    shapes = {each: each.partial_shape for each in copy.inputs}
    for shape in shapes.values():
        shape[0] = images
    copy.reshape(shapes)
    return copy
