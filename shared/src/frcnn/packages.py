"""Optional packages and the extras that install them; silences logging by default."""

import contextlib
import importlib.util
import logging
from collections.abc import Iterable, Iterator, Sequence

from frcnn.errors import MissingPackageError

EXTRAS = {
    "PIL": "convert",
    "certifi": "s3",
    "cryptography": "train",
    "docker": "pipeline",
    "google_crc32c": "convert",
    "h5py": "train",
    "ijson": "convert",
    "imagehash": "data",
    "jinja2": "convert",
    "keras": "train",
    "kfp": "pipeline",
    "kfp_server_api": "pipeline",
    "kubernetes": "cluster",
    "matplotlib": "evaluate",
    "minio": "s3",
    "numpy": "convert",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "optuna": "tune",
    "platformdirs": "s3",
    "safetensors": "train",
    "sqlalchemy": "tune",
    "tensorflow": "train",
    "tf2onnx": "export",
    "urllib3": "s3",
    "yaml": "data",
}
# Extras that other extras install as well.
INCLUDED = {
    "convert": {"s3"},
    "data": {"convert", "s3"},
    "train": {"convert", "s3"},
    "inference": {"train", "convert", "s3"},
    "evaluate": {"train", "convert", "s3"},
    "tune": {"evaluate", "train", "convert", "s3"},
    "export": {"train", "convert", "s3", "onnx"},
    "openvino": {"onnx"},
    "pipeline": {"s3", "cluster"},
}
# Packages that an extra lists, although another one is named for them.
ALSO_LISTED = {"onnx": {"cryptography", "numpy", "PIL"}, "pipeline": {"yaml"}}


def extras_for(packages: Sequence[str], wanted: str = "") -> str:
    """Returns the extras to install, so that no second package is missing after the first.

    TensorFlow comes in two packages, of which only one may be installed. Therefore, the extra `cpu` is named
    only if TensorFlow is needed and missing.

    Args:
        packages: Missing packages; keys of `EXTRAS`.
        wanted: Extras of the task, comma-separated.

    Returns:
        Extras, comma-separated.
    """
    extras = [each for each in wanted.split(",") if each]
    for package in packages:
        if not _brings(extras, package):
            extras += [each for each in EXTRAS[package].split(",") if each not in _with_included(extras)]
    if "train" in _with_included(extras):
        extras = [each for each in extras if each != "cpu"]
        if "tensorflow" in packages or not _is_installed("tensorflow"):
            extras.append("cpu")
    return ",".join(extras)


def require(wanted: str, purpose: str) -> None:
    """Checks that the packages of some extras are installed, before work that would miss them one by one.

    Args:
        wanted: Extras, comma-separated.
        purpose: Activity that needs them, such as "frcnn demo".

    Raises:
        MissingPackageError: Packages are missing; the message names all of them.
    """
    missing = _missing(wanted)
    if missing:
        raise missing_package(missing[0], wanted, purpose)


def missing_package(package: str, wanted: str, purpose: str) -> MissingPackageError:
    """Creates the error for a missing package; it also names other missing packages of the same task.

    Args:
        package: Missing package; a key of `EXTRAS`.
        wanted: Extras of the task, comma-separated; empty if they are not known.
        purpose: Activity that needs the package.

    Returns:
        The error.
    """
    others = [each for each in _missing(wanted) if each != package]
    return MissingPackageError(package, extras_for([package, *others], wanted), purpose, others)


def _missing(wanted: str) -> list[str]:
    extras = wanted.split(",")
    return [package for package in EXTRAS if _brings(extras, package) and not _is_installed(package)]


def _brings(extras: Iterable[str], package: str) -> bool:
    all_extras = _with_included(extras)
    listed = any(package in ALSO_LISTED.get(each, ()) for each in all_extras)
    return listed or all_extras.issuperset(EXTRAS[package].split(","))


def _with_included(extras: Iterable[str]) -> set[str]:
    return {each for extra in extras for each in (extra, *INCLUDED.get(extra, ()))}


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def silence_logging() -> None:
    """Keeps warnings off standard error unless the caller sets up logging."""
    logger = logging.getLogger("frcnn")
    if not any(isinstance(each, logging.NullHandler) for each in logger.handlers):
        logger.addHandler(logging.NullHandler())


@contextlib.contextmanager
def needed_for(purpose: str, wanted: str = "") -> Iterator[None]:
    """Turns the error for a missing optional package into one that names the extra to install.

    Args:
        purpose: Activity that needs the package, such as "evaluation".
        wanted: Extras of the activity, comma-separated; empty if they are not known.

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
        raise missing_package(package, wanted, purpose) from error
