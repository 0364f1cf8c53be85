"""Loads weights from a file of any supported kind into a new model, and logs the result."""

import dataclasses
import logging
import zipfile
from pathlib import Path

from frcnn.errors import ModelError
from frcnn.limits import open_archive
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.archive import CONFIG, RECORD, describe_fault
from frcnn.model.files.hdf5_process import read_tree_in_subprocess
from frcnn.sealing.sealed_file import is_sealed, opened
from frcnn.training.pretrained.applications import with_our_names
from frcnn.training.pretrained.assign import assign
from frcnn.training.pretrained.hdf5 import layers_in
from frcnn.training.pretrained.keras_archive import read_keras_archive
from frcnn.training.pretrained.source import Source
from frcnn.training.pretrained.status_table import LayerStatus, status_table
from frcnn.training.pretrained.torch_file import (
    LEGACY_MAGIC,
    read_safetensors,
    read_torch_legacy,
    read_torch_zip,
)
from frcnn.training.pretrained.torchvision import from_state_dict
from frcnn.training.run_folder import find_checkpoint

log = logging.getLogger(__name__)

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC = b"PK\x03\x04"
_SHOWN_REASONS = 10


def load_pretrained(model: FasterRCNN, path: Path, key: str = "") -> list[LayerStatus]:
    """Assigns the layers of a file that match the model by name and shape.

    Logs a table of all layers. Nothing in the file is executed.

    Args:
        model: Detector; layers that do not match keep their weights.
        path: Model of this program (plain or sealed), `.keras`, `.weights.h5`, `.h5`, `.hdf5`, `.safetensors`
            or `.pt` file, or a results folder, for its best model. The content decides, not the suffix.
        key: Key of a sealed file; empty for plain ones.

    Returns:
        Status of each layer of the model.

    Raises:
        ModelError: The file is missing, broken, sealed with another key, or of another kind.
    """
    path = find_checkpoint(path, "best")
    source = with_our_names(read_source(path, key))
    statuses = assign(model, source)
    log.info("Loaded weights from %s (%s)\n%s", path, source.kind, status_table(statuses))
    for note in source.notes:
        log.warning("%s: %s", path, note)
    _log_outcome(path, statuses, source)
    return statuses


def read_source(path: Path, key: str = "") -> Source:
    """Reads the layers in a file of any kind that `load_pretrained` accepts.

    Args:
        path: File.
        key: Key of a sealed file; empty for plain ones.

    Returns:
        Layers in the file.

    Raises:
        ModelError: The file is missing, broken, sealed with another key, or of another kind.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file. Correct training_config.pretrained_weights.")
    with path.open("rb") as handle:
        start = handle.read(32)
    if is_sealed(path):
        return _own(path, key)
    if start.startswith(_HDF5_MAGIC):
        return layers_in(read_tree_in_subprocess(path), path)
    if start.startswith(_ZIP_MAGIC):
        return _zip(path, key)
    if start.startswith(LEGACY_MAGIC):
        return from_state_dict(read_torch_legacy(path))
    if start[8:9] == b"{":  # after eight bytes with the length of the header
        return from_state_dict(read_safetensors(path))
    raise ModelError(
        f"{path}: unknown kind of weight file. Expected .keras, .weights.h5, .h5, .hdf5, .safetensors, .pt "
        "or a model of this program. Decrypt a .tlt file of another toolkit there first."
    )


def _zip(path: Path, key: str) -> Source:
    try:
        with open_archive(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(f"{path}: not a readable archive: {describe_fault(error)}") from error
    if RECORD in names:
        return _own(path, key)
    if CONFIG in names:
        return read_keras_archive(path)
    if any(name.endswith("/data.pkl") for name in names):
        return from_state_dict(read_torch_zip(path))
    raise ModelError(
        f"{path}: the archive is neither Keras nor PyTorch; it contains {', '.join(names[:5])}. "
        "Use a weight file of one of them."
    )


def _own(path: Path, key: str) -> Source:
    with opened(path, key, "keras") as plain:
        return dataclasses.replace(read_keras_archive(plain, path), kind="a detector")


def _log_outcome(path: Path, statuses: list[LayerStatus], source: Source) -> None:
    filled = sum(each.status == "Yes" for each in statuses)
    rejected = [each for each in statuses if each.status == "No" and each.reason != "not in the file"]
    log.info("Loaded %d of %d layers with weights", filled, sum(each.status != "None" for each in statuses))
    for each in rejected[:_SHOWN_REASONS]:
        log.warning("%s: %s", each.name, each.reason)
    if len(rejected) > _SHOWN_REASONS:
        log.warning("%d more layers do not fit", len(rejected) - _SHOWN_REASONS)
    if not filled:
        log.warning(
            "%s: none of its layers (%s, ...) fits this model, so training starts from random weights. "
            "Check model_config.arch.",
            path,
            ", ".join(list(source.layers)[:5]),
        )
