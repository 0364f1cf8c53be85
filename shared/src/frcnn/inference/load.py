"""Recognizes the kind of a model file and loads its detector."""

import codecs
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from frcnn.errors import ModelError, UsageError
from frcnn.regular_file import open_regular

if TYPE_CHECKING:
    from frcnn.inference.runtime_choice import RuntimeChoice
    from frcnn.model.batch_detector import Detector
    from frcnn.model.settings import ExpectedModel

Kind = Literal["keras", "onnx", "engine"]
_START = 1024
_OTHER_KINDS = (
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"GIF8",
    b"%PDF",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"7z\xbc\xaf",
)
_ARCHIVES = (b"PK\x03\x04", b"\x89HDF")
_TRAINED = (".tlt", ".keras", ".hdf5", ".h5")
EXPORTED = (".onnx", ".etlt")


def load_detector(
    path: Path,
    expected: "ExpectedModel",
    key: str = "",
    runtime: "RuntimeChoice | None" = None,
    *,
    as_is: bool = False,
    device: str = "auto",
) -> "Detector":
    """Loads the detector in a model file: trained, exported or a TensorRT engine; sealed or plain.

    Args:
        path: Existing file.
        expected: Expected classes and input size, and settings of the detections.
        key: Key of a sealed file; empty for a plain one.
        runtime: Runtime of an exported model; None for the default.
        as_is: Whether to run an exported graph unchanged; otherwise a faster form of its head is used on
            CPUs.
        device: `auto`, `cpu`, `gpu` or `gpu:<number>`.

    Returns:
        Function from preprocessed images to detections.

    Raises:
        ModelError: The file is broken, sealed with another key, or made for other classes or another input
            size.
        UsageError: `runtime` is set for a trained model or an engine.
        RunError: The runtime is not installed, or an engine is loaded without a GPU.
    """
    kind = kind_of(path)
    if kind == "onnx":
        from frcnn.inference.onnx import load_onnx_detector
        from frcnn.inference.runtime_choice import RuntimeChoice

        choice = dataclasses.replace(runtime or RuntimeChoice(), fast_head=not as_is, device=device)
        return load_onnx_detector(path, expected, key, choice)
    if runtime is not None:
        raise wrong_runtime(path, kind, runtime.name)
    if kind == "engine":
        from frcnn.inference.tensorrt import load_engine_detector

        return load_engine_detector(path, expected, device)
    from frcnn.model.files.trained_detector import load_detector as load_trained

    detector = load_trained(path, expected, key)
    if device == "auto":
        return detector
    from frcnn.inference.open_model import OnDevice

    return OnDevice(detector, device)


def wrong_runtime(path: Path, kind: Kind, runtime: str) -> UsageError:
    """Creates the error for a runtime that cannot run a model file; it names the right one.

    Args:
        path: Model file.
        kind: Kind of the file.
        runtime: Requested runtime.

    Returns:
        The error.
    """
    owners = {
        "keras": "a trained model, which Keras runs; export it first",
        "onnx": "an exported model, which onnxruntime or openvino runs",
        "engine": "an engine, which TensorRT runs",
    }
    return UsageError(f"runtime {runtime}: {path} is {owners[kind]}", argument="runtime")


def kind_of(path: Path) -> Kind:
    """Recognizes the kind of a model file.

    A sealed file states its kind, an archive is a trained model; otherwise the suffix decides. As in TAO,
    files with an unknown suffix are engines, unless they are text, images or archives.

    Args:
        path: Existing file.

    Returns:
        Kind of the file.

    Raises:
        ModelError: The file is not a model.
    """
    from frcnn.sealing.sealed_file import header_of, is_sealed

    if is_sealed(path):
        return "onnx" if header_of(path).kind == "onnx" else "keras"
    with open_regular(path) as stream:
        start = stream.read(_START)
    if start[:4] in _ARCHIVES or path.suffix in _TRAINED:
        return "keras"
    if path.suffix in EXPORTED:
        return "onnx"
    if _is_no_engine(start):
        raise ModelError(
            f"{path}: not a model; expected a trained one ({', '.join(_TRAINED)}), an exported one "
            f"({', '.join(EXPORTED)}) or a TensorRT engine"
        )
    return "engine"


def _is_no_engine(start: bytes) -> bool:
    """Checks whether the start of a file excludes an engine: empty, text, or a known signature."""
    if not start or start.startswith(_OTHER_KINDS):
        return True
    try:
        # The last character may be incomplete.
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return all(each.isprintable() or each.isspace() for each in text)
