"""Experiment spec that the conversion step suggests for its data set, stored next to the records.

Steps that are given no spec read it from there. A run can therefore be started with a data set only.
"""

import glob
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import DataError, FrcnnError, StoreError, UsageError
from frcnn.files import write_text
from frcnn.memory import gpu_memory
from frcnn.spec.load import checked_text, parse_experiment, read_text
from frcnn.spec.schema.experiment import Experiment
from frcnn.steps.places import records_place
from frcnn.steps.specs import VALIDATION_FOLD, experiment_given
from frcnn.storage import Store
from frcnn.storage.faults import MissingError

if TYPE_CHECKING:
    from frcnn.survey.tables import Tables

log = logging.getLogger(__name__)

# Readers of records ignore files with this extension (`frcnn.data.input.sources`).
NAME = "suggested_spec.txt"
# Memory of the smallest pod or GPU that trainings are planned for: the conversion does not know their pods,
# and with the free memory of its own machine, the spec would depend on when it runs. On CPUs, a batch has at
# most four images.
_TRAINING_BYTES = 8 << 30


def write_suggestion(tables: "Tables", records: Path, data: str, kept_at: str) -> None:
    """Writes a spec for the converted data set. If none can be written, a warning is logged.

    Args:
        tables: Survey of the converted folds.
        records: Folder of the records, which the spec is added to.
        data: Data set as the user names it.
        kept_at: Folder or URI of the records for later steps.
    """
    try:
        text, summary = _suggestion(tables, data, kept_at)
        checked_text(text, NAME)
    except FrcnnError as error:
        log.warning("No experiment spec is suggested: %s", error)
        return
    write_text(records / NAME, text)
    log.info("Spec for steps that are given none: %s/%s", kept_at, NAME)
    log.debug("%s", summary)


def experiment_or_suggested(given: str, records: Path | None, uri: str) -> Experiment:
    """Reads the experiment spec given as a parameter of a step, or the suggested one if it is empty.

    Args:
        given: Text of the spec, file name, or `s3://` URI; empty for the suggested spec.
        records: Value of --records; `None` if it was not given.
        uri: Value of --records-uri; empty if it was not given.

    Returns:
        The checked spec.

    Raises:
        SpecError: The file cannot be read or the text has errors; the message lists all of them.
        UsageError: The parameter has an unsupported URI scheme, its text lost its line breaks, no records are
            given, or there is no suggested spec next to them.
        DataError: The folder of the records does not exist.
        StoreError: S3 is unreachable or denies access.
    """
    if given.strip():
        return experiment_given(given)
    place = records_place(records, uri)
    log.info("No spec is given: using %s/%s", place, NAME)
    text = _local_text(place) if isinstance(place, Path) else _remote_text(place)
    return parse_experiment(text, f"{place}/{NAME}").spec


def _suggestion(tables: "Tables", data: str, kept_at: str) -> tuple[str, str]:
    """Returns the text of a spec, and a summary of it."""
    # Imported here, because trainings read a spec but write none.
    from frcnn.spec_writing.choices import choose
    from frcnn.spec_writing.facts import facts_of
    from frcnn.spec_writing.text import Places, experiment_text

    held_out = f"fold {VALIDATION_FOLD}"
    training = [name for name in tables.folds if name != held_out]
    if not training or len(tables.folds) < 2:
        raise DataError(
            f"the conversion made {len(tables.folds)} fold with images; a training needs a second one for "
            "validation"
        )
    choices = choose(
        facts_of(tables, training), "accuracy", gpu_bytes=gpu_memory(), main_bytes=_TRAINING_BYTES
    )
    places = Places(
        command="the conversion step of a pipeline",
        data=data,
        records=f"{glob.escape(kept_at)}/*",
        image_root=Path(),
        extension="jpg",
        validation=(f"validation_fold: {VALIDATION_FOLD}",),
        validation_why=f"{held_out} of the conversion",
        model=Path("model"),
        inference_images=Path("images"),
        annotated=Path("annotated"),
        labels=Path("labels"),
    )
    return experiment_text(choices, places), choices.summary()


def _local_text(folder: Path) -> str:
    path = folder / NAME
    if not path.is_file():
        raise UsageError(_missing(folder))
    return read_text(path)


def _remote_text(uri: str) -> str:
    try:
        return Store.from_environment().read(f"{uri}/{NAME}").decode()
    except MissingError as error:
        raise UsageError(_missing(uri)) from error
    except StoreError as error:
        raise type(error)(f"--spec is empty, and the suggested one cannot be read: {error}") from error


def _missing(place: object) -> str:
    return (
        f"--spec is empty, and there is no suggested spec {place}/{NAME}. Give a spec, or see the log of the "
        "conversion for why none was suggested. Records of an older version have none; a new data_version "
        "converts again."
    )
