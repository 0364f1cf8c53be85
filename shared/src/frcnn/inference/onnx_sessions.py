"""Runs exported files with ONNX Runtime or OpenVINO behind a common interface.

Both packages are imported on first use, because OpenVINO is an optional extra.
"""

import contextlib
import dataclasses
import functools
import logging
import math
import mmap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from frcnn.errors import MissingPackageError, ModelError, RunError, UsageError
from frcnn.exporting.onnx.fast_head import FedGraph, FedKernel, with_fast_head, with_fed_kernels
from frcnn.exporting.onnx.tensor_names import OUTPUTS
from frcnn.exporting.onnx_guard import load_guarded
from frcnn.inference.device import gpu_number
from frcnn.packages import EXTRAS

log = logging.getLogger(__name__)

_Rewritten = TypeVar("_Rewritten")
_CPU = "CPUExecutionProvider"
# Fastest first; providers that are not installed are skipped.
PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", _CPU)
# OpenVINO's names of the types.
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_ERRORS_ONLY = 3


@dataclasses.dataclass(frozen=True)
class RuntimeChoice:
    """Runtime of an exported file and its options.

    Attributes:
        name: `onnxruntime` or `openvino`.
        precision_hint: Precision in which OpenVINO may compute float32 layers: `fp32`, `bf16` or `fp16`;
            empty for fp32.
        threads: Maximum number of threads; 0 for the runtime's default.
        fast_head: Whether to convert the head's 3x3 convolutions on CPUs to the form that `export
            --cpu_fast_head` writes.
        device: `auto` for the fastest available device, `cpu`, `gpu`, or one of several GPUs, such as
            `gpu:1`.
    """

    name: str = "onnxruntime"
    precision_hint: str = ""
    threads: int = 0
    fast_head: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        """Raises UsageError for a precision hint to a runtime other than OpenVINO."""
        if self.precision_hint and self.name != "openvino":
            raise UsageError(
                f"precision_hint {self.precision_hint}: only the runtime openvino takes one, not {self.name}",
                argument="precision_hint",
            )


class Session(Protocol):
    """Standard graph that is ready to run, from any thread.

    Attributes:
        batch_size: Fixed batch size; None for any.
        on_cpu: Whether only the CPU computes.
    """

    batch_size: int | None
    on_cpu: bool

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Runs the graph on inputs by name; returns the tensors of `OUTPUTS`."""


def open_session(
    plain: Path, shown: Path, choice: RuntimeChoice, check: Callable[[Any], None] = lambda model: None
) -> Session:
    """Opens a standard graph in a runtime.

    Args:
        plain: Plain ONNX file; no longer needed after the call.
        shown: Path of the file in messages.
        choice: Runtime and its options.
        check: Called with the ONNX ModelProto of the file before the runtime gets it; may raise.

    Returns:
        The session.

    Raises:
        ModelError: The runtime rejects the file, or the file cannot contain a detector.
        RunError: The runtime is not installed, or the device does not exist.
    """
    make: Callable[[], Session]
    if choice.name == "openvino":
        make = functools.partial(_OpenVino, _source(plain, shown, choice, check, _folded), choice)
    else:
        make = functools.partial(_OnnxRuntime, _source(plain, shown, choice, check, _fed), choice)
    try:
        return make()
    except ImportError as error:
        raise MissingPackageError(choice.name, EXTRAS[choice.name], f"runtime {choice.name}") from error
    except _RefusedError as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{shown}: {choice.name} cannot run it: {reason}") from error


class _RefusedError(Exception):
    """Error of a runtime that cannot load a file."""


@contextlib.contextmanager
def _refused_as_model_error(runtime: str) -> Iterator[None]:
    """Raises ModelError for errors of a runtime within the block, which no graph of this program causes.

    ONNX Runtime's exceptions are classes of their own, OpenVINO's are RuntimeErrors.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, RuntimeError) and not type(error).__module__.startswith("onnxruntime"):
            raise
        raise ModelError(f"{runtime} cannot run the model: {' '.join(str(error).split())}") from error


def _source(
    plain: Path,
    shown: Path,
    choice: RuntimeChoice,
    check: Callable[[Any], None],
    rewrite: Callable[[Any, RuntimeChoice], _Rewritten | None],
) -> Path | _Rewritten:
    """Parses a file once, and drops what was parsed before the runtime makes its own copy.

    Returns:
        The file, or its graph with the faster head for CPUs.
    """
    model = load_guarded(plain, shown)
    check(model)
    if not choice.fast_head:
        return plain
    import onnx

    try:
        faster = rewrite(model, choice)
    except (onnx.shape_inference.InferenceError, ValueError, KeyError, TypeError, IndexError):
        return plain  # the runtime will report the error
    if faster is None:
        return plain
    log.info("Using the form for CPUs of the head's 3x3 convolutions (as_is disables it)")
    return faster


def _folded(model: Any, choice: RuntimeChoice) -> bytes | None:
    """Rewrites a graph for OpenVINO, which transforms the kernels when it folds constants."""
    faster = with_fast_head(model, transformed=False)
    return None if faster is None else bytes(faster.SerializeToString())


def _fed(model: Any, choice: RuntimeChoice) -> FedGraph | None:
    """Rewrites a graph for ONNX Runtime on CPUs."""
    try:
        import onnxruntime
    except ImportError:
        return None  # opening the session says what to install
    wanted, _ = _providers(onnxruntime.get_available_providers(), choice.device)
    return with_fed_kernels(model) if wanted == [_CPU] else None


def _providers(installed: Sequence[str], device: str) -> tuple[list[str], list[dict[str, str]]]:
    """Returns ONNX Runtime's providers to use, fastest first, and the settings of each.

    Raises:
        RunError: A GPU is requested, and this ONNX Runtime has no GPU provider.
    """
    number = gpu_number(device)
    wanted = [each for each in PROVIDERS if each in installed]
    if device == "cpu":
        wanted = [_CPU]
    elif number is not None and wanted == [_CPU]:
        raise RunError(
            f"device {device}: this ONNX Runtime supports CPUs only. Install onnxruntime-gpu instead."
        )
    return wanted, [{} if each == _CPU or number is None else {"device_id": str(number)} for each in wanted]


class _OnnxRuntime:
    def __init__(self, source: Path | FedGraph, choice: RuntimeChoice) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors

        wanted, settings = _providers(onnxruntime.get_available_providers(), choice.device)
        refusals = (errors.Fail, errors.InvalidGraph, errors.InvalidArgument, errors.NotImplemented)
        try:
            graph = source.network.SerializeToString() if isinstance(source, FedGraph) else source
            options = _options(choice)
            # A plan of all activations in one block saves no time on CPUs, and doubles their memory.
            options.enable_mem_pattern = wanted != [_CPU]
            self._session = onnxruntime.InferenceSession(graph, options, wanted, settings)
            self._kernels = _transformed(source.kernels) if isinstance(source, FedGraph) else {}
        except refusals as error:
            raise _RefusedError(error) from error
        batch = self._session.get_inputs()[0].shape[0]
        self.batch_size = batch if isinstance(batch, int) else None
        # The actual providers: ONNX Runtime drops a GPU provider without a GPU.
        providers = self._session.get_providers()
        self.on_cpu = providers == [_CPU]
        used = ", then ".join(each.removesuffix("ExecutionProvider") for each in providers)
        log.info("ONNX Runtime %s runs the model on: %s", onnxruntime.__version__, used)

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        with _refused_as_model_error("ONNX Runtime"):
            return list(self._session.run(OUTPUTS, {**inputs, **self._kernels}))


def _options(choice: RuntimeChoice) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = choice.threads
    return options


def _transformed(kernels: Mapping[str, FedKernel]) -> dict[str, Any]:
    """Transforms kernels, into OrtValues that runs read in place."""
    from onnxruntime import OrtValue

    values = {}
    for name, kernel in kernels.items():
        value = _in_small_pages(kernel.shape)
        np.matmul(kernel.transform, kernel.plain, out=value.reshape(len(value), -1))
        values[name] = OrtValue.ortvalue_from_numpy(value)
    return values


def _in_small_pages(shape: Sequence[int]) -> np.ndarray:
    """Returns a float32 array that has not been written to.

    NumPy asks for huge pages, which do not speed up the runs. They are slow to obtain on a virtual machine
    that gives free memory back to its host.
    """
    size = math.prod(shape) * np.dtype(np.float32).itemsize
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(memory, np.float32).reshape(shape)


class _OpenVino:
    def __init__(self, source: Path | bytes, choice: RuntimeChoice) -> None:
        import openvino

        hint = _HINTS[choice.precision_hint or "fp32"]
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        if choice.threads:
            options["INFERENCE_NUM_THREADS"] = choice.threads
        core = openvino.Core()
        device = _openvino_device(core.available_devices, choice.device)
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
            raise _RefusedError(error) from error
        used = next(iter(self._compiled.values())).get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if used != hint:
            log.warning("precision_hint %s: OpenVINO does not support it on this %s", hint, device)
        log.info("OpenVINO %s runs the model on %s in %s", openvino.__version__, device, used)

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        images = len(next(iter(inputs.values())))
        with _refused_as_model_error("OpenVINO"):
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


def _openvino_device(available: Sequence[str], device: str) -> str:
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
