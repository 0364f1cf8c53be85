"""Optional packages and the extras that install them; silences logging by default."""

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
    "optuna": "tune",
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
    """Turns the error for a missing optional package into one that names the extra to install.

    Args:
        purpose: Activity that needs the package, such as "evaluation".

    Raises:
        MissingPackageError: A package of one of the extras is missing.
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
