"""Settings of a conversion to records; resolved from the spec by `frcnn.settings.conversion`."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KittiSettings:
    """Data set in KITTI layout.

    Attributes:
        root: Folder of the data set; a relative one is below `$DATA_BASE_PATH`.
        image_dir: Folder of the images, below the root.
        label_dir: Folder of the labels, below the root.
        point_clouds_dir: Folder of the point clouds, below the root; empty for none.
        calibrations_dir: Folder of the calibrations, below the root; empty for none.
        extension: Extension that wins if several images have the same stem.
        sequence_file: JSON file of the frames of each sequence, below the root; empty to split at random.
        partitions: Number of folds; less than 2 at random for one set without folds.
        shards: Number of files of each fold; 0 for one file without a number.
        val_split: Share of fold 0 in a random split, percent.
        unused_sequence_file: Sequence file that the spec names although images are split at random.
    """

    root: str
    image_dir: str
    label_dir: str
    point_clouds_dir: str = ""
    calibrations_dir: str = ""
    extension: str = ".png"
    sequence_file: str = ""
    partitions: int = 0
    shards: int = 0
    val_split: float = 0.0
    unused_sequence_file: str = ""


@dataclass(frozen=True, kw_only=True)
class CocoSettings:
    """Data set in COCO layout; the lists have one entry per partition.

    Attributes:
        root: Folder of the data set; a relative one is below `$DATA_BASE_PATH`.
        image_dirs: Folders of the images, below the root.
        annotation_files: JSON files, below the root.
        shards: Numbers of files; 0 for one file without a number.
    """

    root: str
    image_dirs: tuple[str, ...]
    annotation_files: tuple[str, ...]
    shards: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """Removal and duplication of training images to balance classes.

    Attributes:
        dropped: Classes; an image with objects of only one of them is dropped.
        dominant: Classes that are frequent.
        imbalance: By class, number of its objects for one of a dominant class above which the image repeats.
        duplicates: Number of additional copies of an image with rare classes.
        most: Maximum number of training images; 0 for no limit.
        class_mapping: Classes by class in the labels.
    """

    dropped: tuple[str, ...]
    dominant: tuple[str, ...]
    imbalance: Mapping[str, float]
    duplicates: int
    most: int
    class_mapping: Mapping[str, str]


@dataclass(frozen=True)
class ConversionSettings:
    """Data set to convert, and changes to its training images; None for none."""

    data_set: KittiSettings | CocoSettings
    samples: SampleSettings | None = None
