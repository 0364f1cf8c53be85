"""Model files: graph, weights, optimizer state and what is needed to go on, in one file.

A file is a Keras archive (a zip) with one more member, `frcnn.json`. With a key it is sealed and ends
in `.tlt`; without one it is the plain archive and ends in `.keras`. Nothing in it is ever executed.
"""

import dataclasses
import json
import logging
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from frcnn.errors import ModelError
from frcnn.model.build import detection_settings, geometry_of
from frcnn.model.detector import KerasDetector
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.precision import saved_as_float32
from frcnn.runtime.sealed import created, opened

if TYPE_CHECKING:
    from frcnn.spec.config import Experiment

log = logging.getLogger(__name__)

RECORD = "frcnn.json"


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """Where training stood: `epoch` epochs and `step` steps done, by a spec that reads `spec_text`."""

    arch: str
    class_names: tuple[str, ...]
    epoch: int = 0
    step: int = 0
    spec_text: str = ""
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)


def save_model(model: FasterRCNN, path: Path, record: TrainingRecord, key: str = "") -> None:
    """Writes model and record to `path`, whole or not at all; sealed if there is a key."""
    with created(path, key, "keras") as plain:
        archive_path = plain.with_suffix(".keras")
        with saved_as_float32(model):
            model.save(archive_path)
        with zipfile.ZipFile(archive_path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(RECORD, json.dumps(dataclasses.asdict(record), indent=1))
        archive_path.replace(plain)


def load_model(path: Path, key: str = "", *, compiled: bool = False) -> tuple[FasterRCNN, TrainingRecord]:
    """The detector in a file, and how far its training was.

    Args:
        path: Sealed or plain; the contents decide.
        key: Of a sealed file.
        compiled: Whether the optimizer and its slots are wanted too.

    Raises:
        ModelError: Missing, broken, sealed with another key, or not one of ours.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such model file; give one with -m or in the spec")
    with opened(path, key, "keras") as plain:
        return _load_plain(plain, path, compiled)


def read_record(path: Path, key: str = "") -> TrainingRecord:
    """How far the training of a model file was, without building the model.

    Raises:
        ModelError: As `load_model`.
    """
    with opened(path, key, "keras") as plain:
        return _record_in(plain, path)


def _record_in(plain: Path, shown: Path) -> TrainingRecord:
    try:
        with zipfile.ZipFile(plain) as archive:
            record = json.loads(archive.read(RECORD))
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError, EOFError, OSError) as error:
        raise ModelError(f"{shown}: not a detector written by this program ({error})") from error
    record["class_names"] = tuple(record["class_names"])
    return TrainingRecord(**record)


def _load_plain(plain: Path, shown: Path, compiled: bool) -> tuple[FasterRCNN, TrainingRecord]:
    record = _record_in(plain, shown)
    with _named_keras(plain) as named:
        try:
            model = keras.saving.load_model(named, compile=compiled, safe_mode=True)
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise ModelError(
                f"{shown}: damaged, or written by a newer version ({_first_line(error)})"
            ) from error
    if not isinstance(model, FasterRCNN):
        raise ModelError(f"{shown}: holds a {type(model).__name__}, not a detector")
    return model, record


@contextmanager
def _named_keras(path: Path) -> Iterator[Path]:
    """A name for the archive that ends in `.keras`, which Keras insists on."""
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "model.keras"
        link.symlink_to(path.resolve())
        yield link


def load_detector(path: Path, spec: "Experiment", key: str = "", mode: str = "evaluation") -> KerasDetector:
    """The detector in a file with the spec's settings for `mode`, `evaluation` or `inference`.

    Raises:
        ModelError: As `load_model`; or the spec wants other classes or another input size.
    """
    model, _ = load_model(path, key)
    check_fits(model, spec, path)
    config = spec.inference_config if mode == "inference" else spec.evaluation_config
    return KerasDetector(model, detection_settings(config))


def check_fits(model: FasterRCNN, spec: "Experiment", path: Path) -> None:
    """Raises ModelError, both sides named, if the spec wants other classes or another input size."""
    have, wanted = model.geometry, geometry_of(spec)
    if have.class_names != tuple(spec.class_names):
        raise ModelError(
            f"{path}: trained for classes {', '.join(have.class_names)}; "
            f"the spec maps to {', '.join(spec.class_names)}"
        )
    if (have.height, have.width) != (wanted.height, wanted.width):
        raise ModelError(f"{path}: made for input {have.size_text}; the spec says {wanted.size_text}")
    if have.size_text != wanted.size_text:
        log.warning("%s: trained on input %s; the spec says %s", path, have.size_text, wanted.size_text)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
