"""Opens exported files in the chosen runtime."""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from frcnn.errors import ModelError
from frcnn.exporting.onnx.fast_head import with_fast_head
from frcnn.exporting.onnx_guard import load_guarded
from frcnn.inference.onnxruntime_session import OnnxRuntimeSession, fed
from frcnn.inference.openvino_session import OpenVinoSession
from frcnn.inference.runtime_choice import RefusedError, RuntimeChoice, Session
from frcnn.packages import EXTRAS, missing_package

log = logging.getLogger(__name__)

_Rewritten = TypeVar("_Rewritten")


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
        make = functools.partial(OpenVinoSession, _source(plain, shown, choice, check, _folded), choice)
    else:
        make = functools.partial(OnnxRuntimeSession, _source(plain, shown, choice, check, fed), choice)
    try:
        return make()
    except ImportError as error:
        raise missing_package(choice.name, EXTRAS[choice.name], f"runtime {choice.name}") from error
    except RefusedError as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{shown}: {choice.name} cannot run it: {reason}") from error


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
    log.info("Using the CPU form of the head's 3x3 convolutions (as_is disables it)")
    return faster


def _folded(model: Any, choice: RuntimeChoice) -> bytes | None:
    """Rewrites a graph for OpenVINO, which transforms the kernels when it folds constants."""
    faster = with_fast_head(model, transformed=False)
    return None if faster is None else bytes(faster.SerializeToString())
