"""Weights in Keras 3 archives (`.keras`), those of this program among them."""

from pathlib import Path

from frcnn.errors import ModelError
from frcnn.model.files.archive import CONFIG, FAULTS, read_text, read_weights
from frcnn.training.pretrained.hdf5 import layers_in
from frcnn.training.pretrained.source import Source


def read_keras_archive(path: Path, shown: Path | None = None) -> Source:
    """The layers in a `.keras` archive, which messages call `shown`.

    Raises:
        ModelError: It is broken, or holds no layers.
    """
    shown = shown or path
    try:
        config = read_text(path, CONFIG)
    except FAULTS as error:
        raise ModelError(f"{shown}: not a readable Keras archive ({error})") from error
    return layers_in(read_weights(path, shown), shown, config)
