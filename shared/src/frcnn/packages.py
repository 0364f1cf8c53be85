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
    "imagehash": "data",
    "jinja2": "convert",
    "keras": "train,cpu",
    "kfp": "pipeline",
    "matplotlib": "evaluate",
    "minio": "s3",
    "numpy": "convert",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "optuna": "tune",
    "sqlalchemy": "tune",
    "tensorflow": "train,cpu",
    "tf2onnx": "export",
    "yaml": "data",
}
# Extras that other extras install as well.
INCLUDED = {
    "convert": {"s3"},
    "data": {"convert", "s3"},
    "train": {"convert", "s3"},
    "inference": {"train", "convert", "s3"},
    "evaluate": {"train", "convert", "s3"},
    "export": {"train", "convert", "s3", "onnx"},
    "openvino": {"onnx"},
    "pipeline": {"s3", "cluster"},
}


def extras_of_task(wanted: str, package: str) -> str:
    """Returns the extras to install for a task, so that no second package is missing after the first.

    Args:
        wanted: Extras of the task, comma-separated.
        package: Missing package; a key of `EXTRAS`.

    Returns:
        Extras, comma-separated.
    """
    extras = wanted.split(",")
    covered = {*extras, *(each for extra in extras for each in INCLUDED.get(extra, ()))}
    return ",".join([*extras, *(each for each in EXTRAS[package].split(",") if each not in covered)])


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
