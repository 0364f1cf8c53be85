"""Weights in Keras 3 archives (`.keras`), those of this program among them."""

import shutil
import tempfile
import zipfile
from pathlib import Path

from frcnn.errors import ModelError
from frcnn.train.pretrained.apart import read_hdf5_apart
from frcnn.train.pretrained.source import Source

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
# A member may be this much larger than the archive: weights hardly shrink.
_MAX_EXPANSION = 4


def read_keras_archive(path: Path, shown: Path | None = None) -> Source:
    """The layers in a `.keras` archive, which messages call `shown`.

    Raises:
        ModelError: It is broken, or holds no layers.
    """
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            for name in (CONFIG, WEIGHTS):
                if archive.getinfo(name).file_size > _MAX_EXPANSION * path.stat().st_size:
                    raise ValueError(f"{name} claims to be much larger than the file")
            config = archive.read(CONFIG).decode()
            plain = Path(folder) / "weights.h5"
            with archive.open(WEIGHTS) as packed, plain.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
            return read_hdf5_apart(plain, config, shown or path)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{shown or path}: not a readable Keras archive ({error})") from error
