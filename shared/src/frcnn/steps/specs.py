"""Specs of pipeline steps: reads text or a file, and replaces paths by those of the step.

The pipeline determines where a step's inputs and outputs are, so its paths replace those in the spec.
"""

import dataclasses
import glob
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from frcnn.errors import Problem, SpecError, StoreError, UsageError
from frcnn.spec import dataset_export_pb2, experiment_pb2, one_line
from frcnn.spec.load import parse_dataset_export, parse_experiment, read_text
from frcnn.spec.schema.data import DataSource
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.export import DatasetExportConfig
from frcnn.storage import Store
from frcnn.storage.address import is_remote

log = logging.getLogger(__name__)

# Fold that is held out if the spec names no other.
VALIDATION_FOLD = 0
# Checkpoints to keep if the spec sets no number: the newest, to resume from, and the previous one.
_KEPT_CHECKPOINTS = 2
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)


def experiment_given(given: str) -> Experiment:
    """Reads the experiment spec given as a parameter of a pipeline step.

    Args:
        given: Text of the spec, file name, or `s3://` URI.

    Returns:
        The checked spec.

    Raises:
        SpecError: The file cannot be read or the text has errors; the message lists all of them.
        UsageError: The parameter is empty, has an unsupported URI scheme or names an object that is not
            UTF-8, or its text lost its line breaks.
        StoreError: The object on S3 cannot be read.
    """
    text, source = _text_and_source(given, "spec")
    return parse_experiment(_readable(text, "spec", experiment_pb2.Experiment()), source).spec


def dataset_export_given(given: str) -> DatasetExportConfig:
    """Reads the dataset_convert spec given as a parameter of a pipeline step; see `experiment_given`."""
    text, source = _text_and_source(given, "convert_spec")
    message = dataset_export_pb2.DatasetExportConfig()
    return parse_dataset_export(_readable(text, "convert_spec", message), source).spec


def with_root(spec: DatasetExportConfig, root: Path) -> DatasetExportConfig:
    """Replaces the root folder of the data set.

    Args:
        spec: dataset_convert spec.
        root: Folder of the data set.

    Returns:
        Changed copy.

    Raises:
        SpecError: The spec has no data set.
    """
    if spec.kitti_config is not None:
        kitti = dataclasses.replace(spec.kitti_config, root_directory_path=str(root))
        return dataclasses.replace(spec, kitti_config=kitti)
    if spec.coco_config is not None:
        coco = dataclasses.replace(spec.coco_config, root_directory_path=str(root))
        return dataclasses.replace(spec, coco_config=coco)
    raise SpecError(spec.source, [Problem("", "neither kitti_config nor coco_config is set")])


def with_records(spec: Experiment, records: Path | str) -> Experiment:
    """Replaces the data sources by records that contain their images.

    The validation fold does not change. A spec with another kind of validation set, or none, gets fold 0.

    Args:
        spec: Experiment spec.
        records: Folder or `s3://` URI of the record files.

    Returns:
        Changed copy.
    """
    source = DataSource(tfrecords_path=f"{glob.escape(str(records))}/*", image_directory_path=str(records))
    fold = spec.dataset_config.validation_fold
    if fold is None:
        fold = VALIDATION_FOLD
        log.info("The spec sets no validation_fold: validating on fold %d of the converted records", fold)
    dataset = dataclasses.replace(
        spec.dataset_config, data_sources=(source,), validation_fold=fold, validation_data_source=None
    )
    return dataclasses.replace(spec, dataset_config=dataset)


def with_training(spec: Experiment, *, epochs: int, retrain: Path | None) -> Experiment:
    """Replaces the start and length of a training.

    Args:
        spec: Experiment spec.
        epochs: Number of epochs; 0 keeps that of the spec.
        retrain: Pruned model, whose layers and weights are used; `None`: training starts from scratch.

    Returns:
        Changed copy.

    Raises:
        UsageError: `epochs` is negative.
    """
    if epochs < 0:
        raise UsageError(f"--epochs {epochs}: expected 1 or more, or 0 for the spec's num_epochs")
    given = spec.training_config
    length: dict[str, Any] = {**given.fields_for_epochs(epochs)} if epochs else {}
    training = dataclasses.replace(
        given,
        keep_checkpoints=given.keep_checkpoints or _KEPT_CHECKPOINTS,
        retrain_pruned_model=str(retrain or ""),
        resume_from_model="",
        **length,
    )
    return dataclasses.replace(spec, training_config=training)


def with_choices(spec: Experiment, space: str, choices: Sequence[str]) -> Experiment:
    """Sets the values that a tuner chose for a trial.

    Args:
        spec: Spec of the search, with records and number of epochs.
        space: Text of the search space; empty outside a search.
        choices: Texts `FIELD=CHOICE`.

    Returns:
        Changed copy; `spec` itself outside a search.

    Raises:
        SpecError: The space is invalid, or the values contradict each other.
        UsageError: A choice is not in the space.
    """
    if not space:
        return spec
    # Imported here, because only trials need it.
    from frcnn.tuning.trial_spec import remote_trial_spec
    from frcnn.tuning.tuned_spec import TunedSpec

    return remote_trial_spec(TunedSpec(spec), space, choices).experiment


def with_inference(spec: Experiment, images: Path, results: Path) -> Experiment:
    """Replaces the folders of an inference.

    Args:
        spec: Experiment spec.
        images: Folder of the images.
        results: Folder for the results, in subfolders.

    Returns:
        Changed copy.
    """
    inference = dataclasses.replace(
        spec.inference_config,
        images_dir=str(images),
        detection_image_output_dir=str(results / "images_annotated"),
        labels_dump_dir=str(results / "labels"),
    )
    return dataclasses.replace(spec, inference_config=inference)


def _readable(text: str, name: str, message: Message) -> str:
    """Repairs a text that lost its line breaks when it was pasted.

    Raises:
        UsageError: The text contains comments, whose ends cannot be found.
    """
    if one_line.lost_comment(text):
        raise UsageError(
            f"--{name.replace('_', '-')}: the text is one line with a comment (#) before other fields. "
            "Its line breaks were lost, for example in the text field of Kubeflow's UI, so the end of the "
            "comment is unknown. Upload the file with frcnn pipeline push-spec FILE s3://bucket/name.txt "
            "and give this URI, or paste the output of frcnn pipeline paste-spec FILE"
        )
    return one_line.with_blanks(text, message)


def _text_and_source(given: str, name: str) -> tuple[str, str]:
    """Returns the text of a spec and its name in messages."""
    if "{" in given or "\n" in given:
        return given, name
    if not given.strip():
        raise UsageError(f"--{name.replace('_', '-')} is empty; give the text of a spec or a file name")
    if is_remote(given):
        return _remote_text(given, name), given
    address = _SCHEME.fullmatch(given)
    if address and address[1] != "file":
        raise UsageError(
            f"{given}: {address[1]}:// is not supported; give its text, a file on a mounted volume, or "
            "s3://bucket/file"
        )
    path = Path(address[2] if address else given)
    return read_text(path), str(path)


def _remote_text(uri: str, name: str) -> str:
    flag = f"--{name.replace('_', '-')}"
    try:
        return Store.from_environment().read(uri).decode()
    except StoreError as error:
        raise type(error)(f"{flag} {error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{flag} {uri}: is not UTF-8 text; expected a spec") from error
