"""Builds an experiment spec from values without a sensible default; the rest is from the user guide."""

import os
from collections.abc import Mapping
from typing import cast

from frcnn.errors import Problem, SpecError
from frcnn.spec.schema.data import (
    AugmentationConfig,
    DatasetConfig,
    DataSource,
    Preprocessing,
    SpatialAugmentation,
)
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.frozen_map import FrozenMap
from frcnn.spec.schema.model import AnchorBoxConfig, InputImageConfig, ModelConfig, SizeHeightWidth
from frcnn.spec.schema.training import (
    LRConfig,
    OptimizerConfig,
    RegularizationType,
    RegularizerConfig,
    SgdOptimizerConfig,
    SoftStartAnnealingConfig,
    TrainingConfig,
)

# Channel means of ImageNet, 0..255, with which the pretrained backbones were trained.
_CHANNEL_MEANS = FrozenMap({"b": 103.939, "g": 116.779, "r": 123.68})


def build(
    *,
    arch: str,
    size_height_width: tuple[int, int],
    target_class_mapping: Mapping[str, str],
    tfrecords_path: str | os.PathLike[str],
    image_directory_path: str | os.PathLike[str] = "",
    image_extension: str = "jpg",
) -> Experiment:
    """Builds an unchecked spec with the values of the sample in the user guide.

    Args:
        arch: See `frcnn.Spec.build`, as for the other arguments.
        size_height_width: Height and width of the network input, px.
        target_class_mapping: Mapping from classes in the records to classes of the model.
        tfrecords_path: Glob of the record files.
        image_directory_path: Folder of the images; empty if the records contain them.
        image_extension: Extension of the images.

    Returns:
        The spec. Fold 0 is the validation set. Its values may be of a wrong type.

    Raises:
        SpecError: The size is not a pair.
    """
    # Paths and the mapping are converted when the spec is checked.
    source = DataSource(
        tfrecords_path=cast(str, tfrecords_path), image_directory_path=cast(str, image_directory_path)
    )
    return Experiment(
        model_config=ModelConfig(
            arch=arch,
            input_image_config=InputImageConfig(
                size_height_width=_size(size_height_width),
                image_channel_mean=_CHANNEL_MEANS,
                image_channel_order="bgr",
            ),
            anchor_box_config=AnchorBoxConfig(scale=(64.0, 128.0, 256.0), ratio=(1.0, 0.5, 2.0)),
        ),
        dataset_config=DatasetConfig(
            data_sources=(source,),
            image_extension=image_extension,
            target_class_mapping=target_class_mapping,
            validation_fold=0,
        ),
        augmentation_config=AugmentationConfig(
            preprocessing=Preprocessing(enable_auto_resize=True),
            spatial_augmentation=SpatialAugmentation(hflip_probability=0.5),
        ),
        training_config=_training(),
    )


def _size(given: tuple[int, int]) -> SizeHeightWidth:
    try:
        height, width = given
    except (TypeError, ValueError):
        text = f"found {given!r}; expected height and width in pixels, like (384, 1248)"
        raise SpecError("spec", [Problem("size_height_width", text)]) from None
    return SizeHeightWidth(height=height, width=width)


def _training() -> TrainingConfig:
    schedule = SoftStartAnnealingConfig(
        base_lr=0.02, start_lr=0.002, soft_start=0.1, annealing_points=(0.8, 0.9), annealing_divider=10.0
    )
    return TrainingConfig(
        batch_size_per_gpu=8,
        num_epochs=12,
        regularizer=RegularizerConfig(type=RegularizationType.L2, weight=1e-4),
        optimizer=OptimizerConfig(sgd=SgdOptimizerConfig(lr=0.02, momentum=0.9)),
        learning_rate=LRConfig(soft_start=schedule),
    )
