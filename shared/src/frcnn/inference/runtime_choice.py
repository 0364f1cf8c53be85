"""Runtimes of exported files: the choice among them, and their common interface."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from frcnn.errors import ModelError, UsageError


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


class RefusedError(Exception):
    """Error of a runtime that cannot load a file."""


@contextlib.contextmanager
def refused_as_model_error(runtime: str) -> Iterator[None]:
    """Raises ModelError for errors of a runtime within the block, which no graph of this program causes.

    ONNX Runtime has its own exception classes; OpenVINO raises RuntimeErrors.

    Args:
        runtime: Name of the runtime in the message.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, RuntimeError) and not type(error).__module__.startswith("onnxruntime"):
            raise
        raise ModelError(f"{runtime} cannot run the model: {' '.join(str(error).split())}") from error
