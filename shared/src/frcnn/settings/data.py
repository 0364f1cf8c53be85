"""Resolves data, input format and augmentation."""

import math

from frcnn.data.settings import ColorSettings, CropSettings, DataSettings, SourceSettings, SpatialSettings
from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.spec.schema.data import ColorAugmentation, DataSource, Preprocessing, SpatialAugmentation
from frcnn.spec.schema.experiment import Experiment

# Boxes narrower or lower than this, in px of the network input, are not used for training.
_MIN_SIDE = 1.0


def data_settings(spec: Experiment) -> DataSettings:
    """Resolves records, classes, input format and augmentation.

    Args:
        spec: Checked spec.

    Returns:
        Settings of the data.
    """
    data, augmentation = spec.dataset_config, spec.augmentation_config
    preprocessing, validation = augmentation.preprocessing, data.validation_data_source
    return DataSettings(
        sources=tuple(
            _source(f"dataset_config.data_sources[{i}]", each) for i, each in enumerate(data.data_sources)
        ),
        validation_source=None
        if validation is None
        else _source("dataset_config.validation_data_source", validation),
        validation_fold=data.validation_fold,
        uniform_sampling=data.sampling_mode.name == "UNIFORM",
        image_extension=data.image_extension,
        class_mapping=data.target_class_mapping,
        class_names=tuple(spec.class_names),
        image=image_settings(spec),
        max_objects=spec.model_config.input_image_config.max_objects_num_per_image,
        batch_size=spec.training_config.batch_size_per_gpu,
        seed=spec.random_seed,
        augmented=spec.training_config.enable_augmentation,
        crop=crop_settings(preprocessing),
        spatial=spatial_settings(augmentation.spatial_augmentation),
        color=_color_settings(augmentation.color_augmentation),
        min_box_height=max(_MIN_SIDE, preprocessing.min_bbox_height),
        min_box_width=max(_MIN_SIDE, preprocessing.min_bbox_width),
    )


def image_settings(spec: Experiment) -> ImageSettings:
    """Resolves the input format of the network.

    Args:
        spec: Checked spec.

    Returns:
        Input format.
    """
    image = spec.model_config.input_image_config
    preprocessing = spec.augmentation_config.preprocessing
    size = image.size_height_width
    shortest = image.size_min.min if image.size_min is not None else 0
    gray = image.image_type.name == "GRAY_SCALE"
    order = "l" if gray else ("bgr" if image.image_channel_order.lower() == "bgr" else "rgb")
    return ImageSettings(
        height=size.height if size is not None else 0,
        width=size.width if size is not None else 0,
        channels=1 if gray else 3,
        order=order,
        mean=tuple(float(image.image_channel_mean[letter]) for letter in order),
        scale=float(image.image_scaling_factor),
        auto_resize=bool(preprocessing.enable_auto_resize),
        min_side=shortest,
        max_side=preprocessing.output_image_max if shortest else 0,
    )


def spatial_settings(config: SpatialAugmentation) -> SpatialSettings:
    """Resolves the limits of spatial augmentation; like TAO, treats 0 as unset in some fields.

    Args:
        config: Section of a checked spec.

    Returns:
        Limits of the changes.
    """
    return SpatialSettings(
        hflip=config.hflip_probability,
        vflip=config.vflip_probability,
        translate_x=int(config.translate_max_x),
        translate_y=int(config.translate_max_y),
        zoom_min=config.zoom_min or 1.0,
        zoom_max=config.zoom_max or 1.0,
        rotate_max=math.radians(config.rotate_rad_max),  # the field is in degrees despite its name
        rotate_probability=config.rotate_probability or 1.0,
    )


def _color_settings(config: ColorAugmentation) -> ColorSettings:
    """Resolves the limits of color augmentation."""
    return ColorSettings(
        config.color_shift_stddev,
        config.hue_rotation_max,
        config.saturation_shift_max,
        config.contrast_scale_max,
        config.contrast_center,
    )


def crop_settings(config: Preprocessing) -> CropSettings:
    """Resolves scaling and crop window.

    Args:
        config: Section of a checked spec.

    Returns:
        Scaling and crop window.
    """
    return CropSettings(
        config.scale_width,
        config.scale_height,
        config.crop_left,
        config.crop_top,
        config.crop_right,
        config.crop_bottom,
    )


def _source(field: str, source: DataSource) -> SourceSettings:
    weight = float(source.source_weight) or 1.0
    return SourceSettings(field, source.tfrecords_path, source.image_directory_path, weight)
