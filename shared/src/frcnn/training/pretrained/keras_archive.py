"""Reads weights from Keras 3 archives (`.keras`), including those of this program."""

from pathlib import Path

from frcnn.errors import ModelError
from frcnn.model.files.archive import CONFIG, FAULTS, describe_fault, read_text, read_weights
from frcnn.training.pretrained.hdf5 import layers_in
from frcnn.training.pretrained.source import Source


def read_keras_archive(path: Path, shown: Path | None = None) -> Source:
    """Reads the layers in a `.keras` archive.

    Args:
        path: Archive.
        shown: Path to use in messages; default: `path`.

    Returns:
        Layers in the archive.

    Raises:
        ModelError: The archive is broken or has no layers.
    """
    shown = shown or path
    try:
        config = read_text(path, CONFIG)
    except FAULTS as error:
        raise ModelError(f"{shown}: not a readable Keras archive: {describe_fault(error)}") from error
    return layers_in(read_weights(path, shown), shown, config)
