"""Specs as a pipeline's steps get them: given as text or file, with paths of the step's own machine.

A step's inputs and outputs lie where the pipeline puts them, so paths in the spec give way to these.
"""

import dataclasses
import glob
import logging
import re
from pathlib import Path

from google.protobuf.message import Message

from frcnn.errors import Problem, SpecError, StoreError, UsageError
from frcnn.spec import dataset_export_pb2, experiment_pb2, one_line
from frcnn.spec.load import parse_dataset_export, parse_experiment, read_text
from frcnn.spec.schema.experiment import (
    DatasetExportConfig,
    DataSource,
    Experiment,
    KITTIConfig,
)
from frcnn.storage.address import is_remote

log = logging.getLogger(__name__)

# How a data set is split that comes without a spec of its own: fold 0, a fifth, is for validation.
VALIDATION_FOLD = 0
_PARTITIONS, _SHARDS, _VALIDATION_PERCENT = 2, 4, 20.0
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)


def experiment_given(given: str) -> Experiment:
    """The experiment spec that a parameter of a step gives, as its text or as the name of its file.

    Raises:
        SpecError: The file cannot be read or the text has faults; all of them are named.
        UsageError: An address that is not a file's.
    """
    text, source = _text_and_source(given, "spec")
    return parse_experiment(_readable(text, "spec", experiment_pb2.Experiment()), source).spec


def dataset_export_given(given: str) -> DatasetExportConfig:
    """The dataset_convert spec that a parameter of a step gives; as `experiment_given`."""
    text, source = _text_and_source(given, "convert_spec")
    message = dataset_export_pb2.DatasetExportConfig()
    return parse_dataset_export(_readable(text, "convert_spec", message), source).spec


def with_root(spec: DatasetExportConfig, root: Path) -> DatasetExportConfig:
    """The same conversion of the data set in the folder `root`."""
    if spec.kitti_config is not None:
        kitti = dataclasses.replace(spec.kitti_config, root_directory_path=str(root))
        return dataclasses.replace(spec, kitti_config=kitti)
    if spec.coco_config is not None:
        coco = dataclasses.replace(spec.coco_config, root_directory_path=str(root))
        return dataclasses.replace(spec, coco_config=coco)
    raise SpecError(spec.source, [Problem("", "neither kitti_config nor coco_config is set")])


def kitti_export(root: Path, image_dir: str, label_dir: str, extension: str) -> DatasetExportConfig:
    """How a folder in KITTI layout is converted without a spec; `extension` has a dot."""
    config = KITTIConfig(
        root_directory_path=str(root),
        image_dir_name=image_dir,
        label_dir_name=label_dir,
        image_extension=extension,
        num_partitions=_PARTITIONS,
        num_shards=_SHARDS,
        partition_mode="random",
        val_split=_VALIDATION_PERCENT,
    )
    return DatasetExportConfig(kitti_config=config, source="default conversion")


def with_records(spec: Experiment, records: Path | str) -> Experiment:
    """The spec on the record files in the folder, or under the s3:// URI, `records`, which hold their images.

    The validation fold stays as it is; a spec with another kind of validation set, or none, gets fold 0.
    """
    source = DataSource(tfrecords_path=f"{glob.escape(str(records))}/*", image_directory_path=str(records))
    fold = spec.dataset_config.validation_fold
    if fold is None:
        fold = VALIDATION_FOLD
        log.info("validation on fold %d of the converted records: the spec names no fold", fold)
    dataset = dataclasses.replace(
        spec.dataset_config, data_sources=(source,), validation_fold=fold, validation_data_source=None
    )
    return dataclasses.replace(spec, dataset_config=dataset)


def with_training(spec: Experiment, *, epochs: int, retrain: Path | None, resume: Path | None) -> Experiment:
    """The spec with another start and length of training.

    Args:
        spec: The spec.
        epochs: Number of epochs; 0 leaves the spec's.
        retrain: A pruned model whose layers and weights are taken.
        resume: A checkpoint to go on from; comes before `retrain`. Without either, training starts anew.

    Raises:
        UsageError: `epochs` is negative.
    """
    if epochs < 0:
        raise UsageError(f"--epochs {epochs}: expected 1 or more, or 0 for the spec's num_epochs")
    given = spec.training_config
    training = dataclasses.replace(
        given,
        num_epochs=epochs or given.num_epochs,
        # A training that is made shorter than the interval would leave no model.
        checkpoint_interval=min(given.checkpoint_interval, epochs) if epochs else given.checkpoint_interval,
        retrain_pruned_model=str(retrain or ""),
        resume_from_model=str(resume or ""),
    )
    return dataclasses.replace(spec, training_config=training)


def with_inference(spec: Experiment, images: Path, results: Path) -> Experiment:
    """The spec with a folder of images to look at; results go below `results`."""
    inference = dataclasses.replace(
        spec.inference_config,
        images_dir=str(images),
        detection_image_output_dir=str(results / "images_annotated"),
        labels_dump_dir=str(results / "labels"),
    )
    return dataclasses.replace(spec, inference_config=inference)


def _readable(text: str, name: str, message: Message) -> str:
    """The text, mended if its line breaks were dropped where it was pasted.

    Raises:
        UsageError: They were, and with them the ends of its comments.
    """
    if one_line.lost_comment(text):
        raise UsageError(
            f"--{name.replace('_', '-')}: the text is one line with a comment (#) before other settings, "
            "so that its line breaks were lost, as in the text field of Kubeflow's UI, and nobody can tell "
            "where the comment ends. Give the s3:// URI of the file (frcnn pipeline push-spec FILE "
            "s3://bucket/name.txt puts it there), or paste what frcnn pipeline paste-spec FILE prints"
        )
    return one_line.with_blanks(text, message)


def _text_and_source(given: str, name: str) -> tuple[str, str]:
    """A spec's text, and what messages call it."""
    if "{" in given or "\n" in given:
        return given, name
    if not given.strip():
        raise UsageError(f"--{name.replace('_', '-')} is empty; give a spec's text or the name of its file")
    if is_remote(given):
        return _remote_text(given, name), given
    address = _SCHEME.fullmatch(given)
    if address and address[1] != "file":
        raise UsageError(
            f"{given}: {address[1]}:// is not read here; give its text, a file on a mounted volume, or s3://bucket/file"
        )
    path = Path(address[2] if address else given)
    return read_text(path), str(path)


def _remote_text(uri: str, name: str) -> str:
    from frcnn.storage import Store

    flag = f"--{name.replace('_', '-')}"
    try:
        return Store.from_environment().read(uri).decode()
    except StoreError as error:
        raise type(error)(f"{flag} {error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{flag} {uri}: is not UTF-8 text; expected a spec") from error
