"""Rules across fields of a dataset_convert spec."""

from collections.abc import Iterator

from frcnn.errors import Problem
from frcnn.spec.schema.constraints import did_you_mean
from frcnn.spec.schema.export import DatasetExportConfig


def data_set(spec: DatasetExportConfig) -> Iterator[Problem]:
    """Checks that a data set is configured."""
    if spec.kitti_config is None and spec.coco_config is None:
        yield Problem("", "no data set; expected one of kitti_config, coco_config")


def kitti_partitions(spec: DatasetExportConfig) -> Iterator[Problem]:
    """Checks that the fields required by each KITTI partition mode are set."""
    config = spec.kitti_config
    if config is None:
        return
    if config.partition_mode == "random" and config.num_partitions > 2:
        yield Problem(
            "kitti_config.num_partitions",
            f'found {config.num_partitions}; expected 2 in partition_mode "random": '
            "fold 0 for validation, fold 1 for training; or unset, for one set without folds",
        )
    if config.partition_mode == "random" and config.num_partitions < 2 and config.val_split:
        yield Problem(
            "kitti_config.val_split",
            f"found {config.val_split:g} with one set; expected num_partitions: 2, or no val_split",
        )
    if config.partition_mode == "sequence" and not config.kitti_sequence_to_frames_file:
        yield Problem(
            "kitti_config.kitti_sequence_to_frames_file",
            'required in partition_mode "sequence"; expected a JSON file {sequence: [frame id, ...]}',
        )


def coco_partitions(spec: DatasetExportConfig) -> Iterator[Problem]:
    """Checks that each COCO partition has a folder, an annotation file and a number of shards."""
    config = spec.coco_config
    if config is None:
        return
    for name in ("img_dir_names", "annotation_files"):
        found = len(getattr(config, name))
        if found and config.num_partitions and found != config.num_partitions:
            yield Problem(
                f"coco_config.{name}",
                f"found {found}; expected {config.num_partitions}, one for each of num_partitions",
            )
    if len(config.num_shards) not in (1, config.num_partitions):
        yield Problem(
            "coco_config.num_shards",
            f"found {len(config.num_shards)} numbers; "
            f"expected one for all partitions, or one for each of the {config.num_partitions}",
        )


def modified_classes(spec: DatasetExportConfig) -> Iterator[Problem]:
    """Checks that the sample modifier refers to classes that its mapping produces."""
    config = spec.sample_modifier_config
    if config is None:
        return
    classes = sorted(set(config.source_to_target_class_mapping.values()))
    for field in ("filter_samples_containing_only", "dominant_target_classes"):
        for index, name in enumerate(getattr(config, field)):
            if name not in classes:
                yield Problem(
                    f"sample_modifier_config.{field}[{index}]",
                    f'found "{name}"; expected a value of source_to_target_class_mapping: '
                    f"{', '.join(classes) or 'none defined'}{did_you_mean(name, classes)}",
                )


RULES = (data_set, kitti_partitions, coco_partitions, modified_classes)
