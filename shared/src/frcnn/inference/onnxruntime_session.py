"""Runs exported files with ONNX Runtime, which is imported on first use."""

import logging
import math
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frcnn.errors import RunError
from frcnn.exporting.onnx.fast_head import FedGraph, FedKernel, with_fed_kernels
from frcnn.exporting.onnx.tensor_names import OUTPUTS
from frcnn.inference.device import gpu_number
from frcnn.inference.runtime_choice import RefusedError, RuntimeChoice, refused_as_model_error

log = logging.getLogger(__name__)

_CPU = "CPUExecutionProvider"


# Fastest first; providers that are not installed are skipped.
PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", _CPU)


_ERRORS_ONLY = 3


def fed(model: Any, choice: RuntimeChoice) -> FedGraph | None:
    """Rewrites a graph for ONNX Runtime on CPUs."""
    try:
        import onnxruntime
    except ImportError:
        return None  # opening the session reports what to install
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


class OnnxRuntimeSession:
    """Graph in ONNX Runtime; see `Session`."""

    def __init__(self, source: Path | FedGraph, choice: RuntimeChoice) -> None:
        """Loads the graph.

        Args:
            source: ONNX file, or a graph whose head is in the CPU form.
            choice: Options.

        Raises:
            RefusedError: ONNX Runtime cannot load the graph.
            RunError: The device does not exist.
        """
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
            raise RefusedError(error) from error
        batch = self._session.get_inputs()[0].shape[0]
        self.batch_size = batch if isinstance(batch, int) else None
        # The actual providers: ONNX Runtime drops a GPU provider without a GPU.
        providers = self._session.get_providers()
        self.on_cpu = providers == [_CPU]
        used = ", then ".join(each.removesuffix("ExecutionProvider") for each in providers)
        log.info("ONNX Runtime %s runs the model on: %s", onnxruntime.__version__, used)

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Runs the graph on inputs by name; returns the tensors of `OUTPUTS`."""
        with refused_as_model_error("ONNX Runtime"):
            return list(self._session.run(OUTPUTS, {**inputs, **self._kernels}))


def _options(choice: RuntimeChoice) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = choice.threads
    return options


def _transformed(kernels: Mapping[str, FedKernel]) -> dict[str, Any]:
    """Transforms kernels into OrtValues, which are read without copying."""
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
