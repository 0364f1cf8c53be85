"""What importing this package brings with it: optional packages, the extras that have them, a silent log."""

import contextlib
import logging
from collections.abc import Iterator

from frcnn.errors import MissingPackageError

EXTRAS = {
    "PIL": "convert",
    "cryptography": "train",
    "google_crc32c": "convert",
    "h5py": "train",
    "ijson": "convert",
    "jinja2": "evaluate",
    "keras": "train,cpu",
    "kfp": "pipeline",
    "matplotlib": "evaluate",
    "minio": "s3",
    "numpy": "convert",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "tensorflow": "train,cpu",
    "tf2onnx": "export",
}


def silence_logging() -> None:
    """Keeps warnings off standard error unless the caller sets up logging."""
    logger = logging.getLogger("frcnn")
    if not any(isinstance(each, logging.NullHandler) for each in logger.handlers):
        logger.addHandler(logging.NullHandler())


@contextlib.contextmanager
def needed_for(purpose: str) -> Iterator[None]:
    """Names the extra to install if a package is missing within the block.

    Args:
        purpose: What needs the package: "evaluation".

    Raises:
        MissingPackageError: Instead of the ImportError of a package that one of the extras brings.
    """
    try:
        yield
    except MissingPackageError:
        raise
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise MissingPackageError(package, EXTRAS[package], purpose) from error
