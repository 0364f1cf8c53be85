"""Resolves a dataset_convert spec."""

from pathlib import Path

from frcnn.data.conversion.settings import CocoSettings, ConversionSettings, KittiSettings, SampleSettings
from frcnn.spec.load import load_dataset_export
from frcnn.spec.schema.export import COCOConfig, DatasetExportConfig, KITTIConfig, SampleModifierConfig

_DEFAULT_EXTENSION = ".png"


def read_conversion(path: Path) -> ConversionSettings:
    """Reads and resolves a dataset_convert spec.

    Args:
        path: File of the spec.

    Returns:
        Settings of the conversion.

    Raises:
        SpecError: The file cannot be read or has errors; the message lists all of them.
    """
    return conversion_settings(load_dataset_export(path))


def conversion_settings(spec: DatasetExportConfig) -> ConversionSettings:
    """Resolves the data set and the changes to its training images.

    Args:
        spec: Checked spec.

    Returns:
        Settings of the conversion.

    Raises:
        ValueError: The spec has no data set, so it was not checked.
    """
    samples = spec.sample_modifier_config
    return ConversionSettings(_data_set(spec), None if samples is None else sample_settings(samples))


def kitti_settings(config: KITTIConfig) -> KittiSettings:
    """Resolves a data set in KITTI layout.

    Args:
        config: Section of a checked spec.

    Returns:
        Settings of the data set.
    """
    by_sequence = config.partition_mode == "sequence"
    return KittiSettings(
        root=config.root_directory_path,
        image_dir=config.image_dir_name,
        label_dir=config.label_dir_name,
        point_clouds_dir=config.point_clouds_dir,
        calibrations_dir=config.calibrations_dir,
        extension=config.image_extension or _DEFAULT_EXTENSION,
        sequence_file=config.kitti_sequence_to_frames_file if by_sequence else "",
        partitions=config.num_partitions,
        shards=config.num_shards,
        val_split=config.val_split,
        unused_sequence_file="" if by_sequence else config.kitti_sequence_to_frames_file,
    )


def coco_settings(config: COCOConfig) -> CocoSettings:
    """Resolves a data set in COCO layout.

    Args:
        config: Section of a checked spec.

    Returns:
        Settings of the data set.
    """
    shards = config.num_shards or (0,)
    count = config.num_partitions
    return CocoSettings(
        root=config.root_directory_path,
        image_dirs=config.img_dir_names,
        annotation_files=config.annotation_files,
        shards=shards if len(shards) == count else shards * count,
    )


def sample_settings(config: SampleModifierConfig) -> SampleSettings:
    """Resolves the changes to the training images.

    Args:
        config: Section of a checked spec.

    Returns:
        Settings of the changes.
    """
    return SampleSettings(
        dropped=config.filter_samples_containing_only,
        dominant=config.dominant_target_classes,
        imbalance=config.minimum_target_class_imbalance,
        duplicates=config.num_duplicates,
        most=config.max_training_samples,
        class_mapping=config.source_to_target_class_mapping,
    )


def _data_set(spec: DatasetExportConfig) -> KittiSettings | CocoSettings:
    if spec.kitti_config is not None:
        return kitti_settings(spec.kitti_config)
    if spec.coco_config is not None:
        return coco_settings(spec.coco_config)
    raise ValueError("a checked spec has a data set")
