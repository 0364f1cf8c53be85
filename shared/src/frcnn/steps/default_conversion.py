"""Conversion spec of a data set: the given one, or one for the layout of its folder."""

import tempfile
from pathlib import Path

from frcnn.data.conversion.kitti.layout import LABEL_DIRS, layout
from frcnn.errors import UsageError
from frcnn.spec.load import parse_dataset_export
from frcnn.spec.schema.export import DatasetExportConfig, KITTIConfig
from frcnn.steps.specs import dataset_export_given, with_root
from frcnn.survey.coco_files import annotation_files

# Fold 0 contains 20 % of the images, for validation.
_PARTITIONS, _SHARDS, _VALIDATION_PERCENT = 2, 4, 20.0


def conversion_given(given: str, data: Path) -> DatasetExportConfig:
    """Reads the conversion spec given as a parameter of a step, or builds the default one if it is empty.

    Args:
        given: Text of the spec, file name, or `s3://` URI; empty for the default one.
        data: Folder of the data set, which replaces that in the spec.

    Returns:
        The spec.

    Raises:
        SpecError: The file cannot be read or the text has errors; the message lists all of them.
        UsageError: The parameter is not the text or the place of a spec, or it is empty and there are no
            annotation files for training or none for validation.
        DataError: The parameter is empty, and the layout of the folder is unknown.
        StoreError: The object on S3 cannot be read.
    """
    return with_root(dataset_export_given(given), data) if given else default_conversion(data)


def default_conversion(data: Path) -> DatasetExportConfig:
    """Builds the conversion spec for a folder.

    Args:
        data: Folder in KITTI layout, or with COCO annotation files for training and validation.

    Returns:
        The spec. Fold 0 contains the validation images: 20 % of a folder in KITTI layout.

    Raises:
        DataError: The folder is in neither layout, or its images are not found.
        UsageError: There are annotation files, but none for training or none for validation.
    """
    if any((data / name).is_dir() for name in LABEL_DIRS) or not annotation_files(data):
        return kitti_export(data, *layout(data))
    return _coco(data)


def kitti_export(root: Path, image_dir: str, label_dir: str, extension: str) -> DatasetExportConfig:
    """Builds a conversion spec for a folder in KITTI layout.

    Args:
        root: Folder of the data set.
        image_dir: Folder of the images, below the root.
        label_dir: Folder of the labels, below the root.
        extension: Extension of the images, with a dot.

    Returns:
        The spec. Fold 0 contains 20 % of the images.
    """
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


def _coco(data: Path) -> DatasetExportConfig:
    from frcnn.spec_writing.splits import split_of
    from frcnn.survey.sources import open_sources

    sources = open_sources([str(data)])
    folds = [fold.name or "all" for fold in sources[0].folds]
    with tempfile.TemporaryDirectory() as folder:  # named in the comments of the spec, and not written to
        split = split_of(sources, folds, Path(folder))
    if not split.validation:
        raise UsageError(
            f"{data}: found COCO annotations of {', '.join(folds)}, but none for validation. Add a file such "
            "as instances_val.json, give a conversion spec, or write the labels in KITTI layout with "
            "frcnn data labels, a fifth of which is held out."
        )
    return parse_dataset_export(split.conversions[0].text, "default conversion").spec
