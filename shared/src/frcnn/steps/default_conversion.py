"""Conversion spec of a data set: the given one, or one for the layout of its folder."""

import logging
import tempfile
from pathlib import Path

from frcnn.data.conversion.kitti.layout import is_kitti, layout
from frcnn.errors import UsageError
from frcnn.spec.load import parse_dataset_export
from frcnn.spec.schema.export import DatasetExportConfig, KITTIConfig
from frcnn.spec_writing.one_set import one_set
from frcnn.spec_writing.splits import SEQUENCES, split_of
from frcnn.steps.specs import dataset_export_given, with_root
from frcnn.survey.advice import convert_first
from frcnn.survey.coco_files import annotation_files
from frcnn.survey.layouts import format_to_convert, kitti_parts, part_folders
from frcnn.survey.sources import open_sources

log = logging.getLogger(__name__)

# Fold 0 contains 20 % of the images, for validation.
_PARTITIONS, _SHARDS, _VALIDATION_PERCENT = 2, 4, 20.0


def conversion_given(given: str, data: Path, scratch: Path, name: str = "") -> DatasetExportConfig:
    """Reads the conversion spec given as a parameter of a step, or builds the default one if it is empty.

    Args:
        given: Text of the spec, file name, or `s3://` URI; empty for the default one.
        data: Folder of the data set, which replaces that in the spec.
        scratch: Folder for files of the conversion, which must exist until it is done.
        name: Name of the data set in messages; by default the folder.

    Returns:
        The spec.

    Raises:
        SpecError: The file cannot be read or the text has errors; the message lists all of them.
        UsageError: The parameter is not the text or the place of a spec, or it is empty and there are no
            annotation files for training or none for validation.
        DataError: The parameter is empty, and the layout of the folder is unknown.
        StoreError: The object on S3 cannot be read.
    """
    return with_root(dataset_export_given(given), data) if given else default_conversion(data, scratch, name)


def default_conversion(data: Path, scratch: Path, name: str = "") -> DatasetExportConfig:
    """Builds the conversion spec for a folder.

    Args:
        data: Folder in KITTI layout or with COCO annotation files, possibly split into parts.
        scratch: Folder for files that the conversion reads in addition, such as links that join the parts.
        name: Data set as the user names it; by default `data`.

    Returns:
        The spec. Fold 0 contains the validation images: the part called val, or 20 % of the training images.

    Raises:
        DataError: The folder is in neither layout, or its images are not found.
        UsageError: The labels are in another format, there are COCO annotations but none for validation, or
            fewer images for training than for validation.
    """
    if kind := format_to_convert(data):
        raise UsageError(convert_first(name or str(data), kind))
    if is_kitti(data) or kitti_parts(data):
        found = one_set(data, joined=scratch / "joined", sequences=scratch / SEQUENCES)
        log.info("Validation images: %s.", found.why)
        return kitti_export(found.root, *layout(found.root), sequences=found.sequences)
    if annotation_files(data) or part_folders(data):
        return _coco(data, name or str(data))
    return kitti_export(data, *layout(data))  # names the folder that is missing


def kitti_export(
    root: Path, image_dir: str, label_dir: str, extension: str, *, sequences: str = ""
) -> DatasetExportConfig:
    """Builds a conversion spec for a folder in KITTI layout.

    Args:
        root: Folder of the data set.
        image_dir: Folder of the images, below the root.
        label_dir: Folder of the labels, below the root.
        extension: Extension of the images, with a dot.
        sequences: File with the names of the images for training and validation; empty to split at random.

    Returns:
        The spec. Fold 0 contains the smaller sequence, or 20 % of the images.
    """
    config = KITTIConfig(
        root_directory_path=str(root),
        image_dir_name=image_dir,
        label_dir_name=label_dir,
        image_extension=extension,
        num_partitions=_PARTITIONS,
        num_shards=_SHARDS,
        partition_mode="sequence" if sequences else "random",
        kitti_sequence_to_frames_file=sequences,
        val_split=_VALIDATION_PERCENT,
    )
    return DatasetExportConfig(kitti_config=config, source="default conversion")


def _coco(data: Path, name: str) -> DatasetExportConfig:
    sources = open_sources([str(data)])
    folds = [fold.name or "all" for fold in sources[0].folds]
    with tempfile.TemporaryDirectory() as folder:  # named in the comments of the spec, and not written to
        split = split_of(sources, folds, Path(folder))
    if not split.validation:
        raise UsageError(
            f"{name}: found COCO annotations of {', '.join(folds)}, but none for validation. Add a file such "
            "as instances_val.json or a folder val/ with one, give a conversion spec, or write the labels in "
            "KITTI layout with frcnn data labels, a fifth of which is held out."
        )
    return parse_dataset_export(split.conversions[0].text, "default conversion").spec
