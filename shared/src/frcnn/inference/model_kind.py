"""Recognizes the kind of a model file: trained, exported or an engine."""

import codecs
from pathlib import Path
from typing import Literal

from frcnn.errors import ModelError, UsageError
from frcnn.regular_file import open_regular

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
    if _is_not_engine(start):
        raise ModelError(
            f"{path}: not a model; expected a trained one ({', '.join(_TRAINED)}), an exported one "
            f"({', '.join(EXPORTED)}) or a TensorRT engine"
        )
    return "engine"


def _is_not_engine(start: bytes) -> bool:
    """Checks whether the start of a file excludes an engine: empty, text, or a known signature."""
    if not start or start.startswith(_OTHER_KINDS):
        return True
    try:
        # The last character may be incomplete.
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return all(each.isprintable() or each.isspace() for each in text)
