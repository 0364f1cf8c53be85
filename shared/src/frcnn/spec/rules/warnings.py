"""Warnings about values that are valid but probably not intended. The loader logs them."""

import dataclasses
import math
from collections.abc import Iterator

from frcnn.class_names import stored_class_name
from frcnn.errors import Problem
from frcnn.spec.archs import FAMILIES, family_of
from frcnn.spec.schema.data import DataloaderMode, SamplingMode
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.model import ImageType
from frcnn.spec.show import HIDDEN


def experiment_warnings(spec: Experiment) -> Iterator[Problem]:
    """Yields warnings about a spec without errors.

    Args:
        spec: Experiment spec.

    Yields:
        Warnings as problems without line and column.
    """
    rules = (
        *(_anchors, _backbone_options, _channel_order, _class_keys, _class_values, _dataloader_mode),
        *(_source_weights, _short_sides, _channels, _rotation, _color, _lost_objects, _training, _deprecated),
        *(_without_effect, _masked_key),
    )
    for rule in rules:
        yield from rule(spec)


def _backbone_options(spec: Experiment) -> Iterator[Problem]:
    config = spec.model_config
    effective = family_of(config.arch).options
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    for option in sorted(set().union(*(family.options for family in FAMILIES.values())) - effective):
        value = getattr(config, option)
        if value != defaults[option]:
            families = ", ".join(name for name, family in FAMILIES.items() if option in family.options)
            shown = value.activation_type if option == "activation" else value
            yield Problem(
                f"model_config.{option}",
                f"found {shown}; ignored for {config.arch}, it is an option of {families}",
            )
    if config.arch.startswith("efficientnet"):
        unknown = [block for block in config.freeze_blocks if block not in family_of(config.arch).blocks]
        if unknown:
            yield Problem(
                "model_config.freeze_blocks", f"found {unknown[0]}; {config.arch} has blocks 0 to 8"
            )


def _channel_order(spec: Experiment) -> Iterator[Problem]:
    config = spec.model_config.input_image_config
    if (config.image_channel_order == "l") != (config.image_type is ImageType.GRAY_SCALE):
        yield Problem(
            "model_config.input_image_config.image_channel_order",
            f'found "{config.image_channel_order}" with image_type {config.image_type.name}; '
            f"it is read as {'l' if config.channels == 1 else 'rgb'}",
        )


def _class_keys(spec: Experiment) -> Iterator[Problem]:
    for key in spec.dataset_config.target_class_mapping:
        stored = stored_class_name(key)
        if key != stored:
            yield Problem(
                f'dataset_config.target_class_mapping["{key}"].key',
                f'found "{key}"; classes in records are lower-case and without spaces, '
                f'so it is read as "{stored}"',
            )


def _class_values(spec: Experiment) -> Iterator[Problem]:
    """Warns about classes of the model whose names differ only in case, spaces or Unicode form."""
    first: dict[str, tuple[str, str]] = {}
    for key, value in spec.dataset_config.target_class_mapping.items():
        other, name = first.setdefault(stored_class_name(value), (key, value))
        if value != name:
            yield Problem(
                f'dataset_config.target_class_mapping["{key}"]',
                f'found "{value}", and "{name}" for key "{other}"; these are two classes, since names of the '
                "model are used as written; if one class was meant, write both in the same way",
            )


def _anchors(spec: Experiment) -> Iterator[Problem]:
    """Warns if no anchor is inside the image; `rpn_inside_anchors_only` would ignore all of them."""
    config = spec.model_config
    boxes, image = config.anchor_box_config, config.input_image_config
    if image.size_height_width is not None:
        sides = (image.size_height_width.height, image.size_height_width.width)
    elif image.size_min is not None and spec.augmentation_config.preprocessing.output_image_max:
        # The largest possible image.
        sides = (spec.augmentation_config.preprocessing.output_image_max,) * 2
    else:
        return
    height, width = (_widest_anchor(side, config.rpn_stride) for side in sides)
    # An anchor is scale * sqrt(ratio) wide and scale / sqrt(ratio) high.
    largest = max(min(width / math.sqrt(ratio), height * math.sqrt(ratio)) for ratio in boxes.ratio)
    smallest = min(boxes.scale)
    if smallest <= largest:
        return
    yield Problem(
        "model_config.anchor_box_config.scale",
        f"found {smallest:g} as the smallest; all anchors cross the border of the {sides[1]}x{sides[0]} "
        f"input, so rpn_inside_anchors_only would ignore them; expected scales up to {math.floor(largest)}, "
        f"about the size of the objects",
    )


def _widest_anchor(side: int, stride: int) -> float:
    """Returns the longest side of an anchor that fits into an image side of this length, px."""
    middle = max(0, (side - 1) // stride // 2)
    # The center of a cell next to the middle is farthest from both borders.
    cells = range(max(0, middle - 1), min(middle + 2, -(-side // stride)))
    centers = [stride * (cell + 0.5) for cell in cells]
    return 2.0 * max(min(center, side - 1 - center) for center in centers)


def _dataloader_mode(spec: Experiment) -> Iterator[Problem]:
    mode = spec.dataset_config.dataloader_mode
    if mode is not DataloaderMode.MULTISOURCE:
        yield Problem("dataset_config.dataloader_mode", f"found {mode.name}; it is read as MULTISOURCE")


def _source_weights(spec: Experiment) -> Iterator[Problem]:
    data = spec.dataset_config
    for index, source in enumerate(data.data_sources):
        if data.sampling_mode is SamplingMode.UNIFORM and source.source_weight != 1.0:
            yield Problem(
                f"dataset_config.data_sources[{index}].source_weight",
                f"found {source.source_weight:g}; ignored with sampling_mode UNIFORM, used with PROPORTIONAL",
            )


def _short_sides(spec: Experiment) -> Iterator[Problem]:
    size = spec.model_config.input_image_config.size_min
    short = spec.augmentation_config.preprocessing.output_image_min
    if size is not None and short not in (0, size.min):
        yield Problem(
            "augmentation_config.preprocessing.output_image_min",
            f"found {short}; the model's size_min {size.min} is used, in training and inference",
        )


def _channels(spec: Experiment) -> Iterator[Problem]:
    found = spec.augmentation_config.preprocessing.output_image_channel
    image = spec.model_config.input_image_config
    if found not in (0, image.channels):
        yield Problem(
            "augmentation_config.preprocessing.output_image_channel",
            f"found {found} with image_type {image.image_type.name}; it is read as {image.channels}",
        )


def _rotation(spec: Experiment) -> Iterator[Problem]:
    """Warns about angles that look like radians; the field is in degrees despite its name."""
    path = "augmentation_config.spatial_augmentation.rotate_rad_max"
    value = spec.augmentation_config.spatial_augmentation.rotate_rad_max
    if value > 180.0:
        yield Problem(path, f"found {value:g}; the unit is degrees, and 180 already covers every orientation")
    elif 0.0 < value < 1.0 or any(math.isclose(value, math.pi / part, rel_tol=0.01) for part in (1, 2)):
        yield Problem(
            path,
            f"found {value:g}; the unit is degrees despite the name; "
            f"if radians were meant, write {math.degrees(value):.4g}",
        )


def _color(spec: Experiment) -> Iterator[Problem]:
    """Warns about color changes in 0..255 or percent, whose unit is full scale, and about inverted images."""
    path, color = "augmentation_config.color_augmentation", spec.augmentation_config.color_augmentation
    for name in ("color_shift_stddev", "contrast_center"):
        value = getattr(color, name)
        if value > 1.0:
            text = f"found {value:g}; the unit is full scale, 1 is the brightest pixel value, 255"
            yield Problem(f"{path}.{name}", f"{text}; if pixel values were meant, write {value / 255.0:.3g}")
    for name, effect in (("saturation_shift_max", "colors"), ("contrast_scale_max", "brightness")):
        value = getattr(color, name)
        if value > 1.0:
            yield Problem(f"{path}.{name}", f"found {value:g}; above 1, {effect} may be inverted")
    if color.hue_rotation_max > 180.0:
        text = f"found {color.hue_rotation_max:g}; the unit is degrees, and 180 already covers every hue"
        yield Problem(f"{path}.hue_rotation_max", text)


def _lost_objects(spec: Experiment) -> Iterator[Problem]:
    """Warns about limits in px that exceed the input, so that training sees few objects or none."""
    size = spec.model_config.input_image_config.size_height_width
    if size is None:
        return
    config = spec.augmentation_config
    for side, axis, most in (("width", "x", size.width), ("height", "y", size.height)):
        least = getattr(config.preprocessing, f"min_bbox_{side}")
        if least >= most:
            yield Problem(
                f"augmentation_config.preprocessing.min_bbox_{side}",
                f"found {least:g} with an input of {size.width}x{size.height}; no object is that large",
            )
        shift = getattr(config.spatial_augmentation, f"translate_max_{axis}")
        if shift >= most:
            yield Problem(
                f"augmentation_config.spatial_augmentation.translate_max_{axis}",
                f"found {shift:g} with an input of {size.width}x{size.height}; many images will be empty",
            )


def _deprecated(spec: Experiment) -> Iterator[Problem]:
    for section, field in (("inference_config", "trt_inference"), ("evaluation_config", "trt_evaluation")):
        message = getattr(getattr(spec, section), field)
        if message is not None:
            other = "" if message.trt_engine else "; it does not name an engine, so model is used"
            yield Problem(
                f"{section}.{field}", f"deprecated; name the engine in {section}.model or with -m{other}"
            )


def _without_effect(spec: Experiment) -> Iterator[Problem]:
    """Warns about fields that are accepted for old specs but ignored."""
    model = spec.model_config
    if model.rpn_cls_activation_type not in ("", "sigmoid"):
        found = f'found "{model.rpn_cls_activation_type}"'
        yield Problem("model_config.rpn_cls_activation_type", f"{found}; ignored, sigmoid is always used")
    for name in ("rfcn_mode", "tf_proposal_layer"):
        if getattr(model, name):
            yield Problem(f"model_config.{name}", "found true; ignored, accepted for old specs")
    if model.activation.activation_parameters:
        yield Problem("model_config.activation.activation_parameters", "ignored")


def _training(spec: Experiment) -> Iterator[Problem]:
    config = spec.training_config
    schedule = config.learning_rate.soft_start
    if schedule is not None and schedule.start_lr > schedule.base_lr:
        yield Problem(
            "training_config.learning_rate.soft_start.start_lr",
            f"found {schedule.start_lr:g}, more than base_lr {schedule.base_lr:g}",
        )
    if schedule is not None and schedule.annealing_points and schedule.annealing_divider < 1.0:
        yield Problem(
            "training_config.learning_rate.soft_start.annealing_divider",
            f"found {schedule.annealing_divider:g}; the rate rises at each of annealing_points",
        )
    if config.visualizer.clearml_config is not None:
        yield Problem("training_config.visualizer.clearml_config", "ignored; use wandb_config instead")
    if config.checkpoint_interval > config.num_epochs:
        yield Problem(
            "training_config.checkpoint_interval",
            f"found {config.checkpoint_interval} with {config.num_epochs} epochs; no checkpoint is saved "
            "before the last epoch, except the best",
        )
    if config.qat_per_channel_weights and not config.enable_qat:
        yield Problem("training_config.qat_per_channel_weights", "ignored because enable_qat is false")
    if config.resume_from_model and config.retrain_pruned_model:
        yield Problem("training_config.retrain_pruned_model", "ignored, resume_from_model takes precedence")


def _masked_key(spec: Experiment) -> Iterator[Problem]:
    if spec.enc_key == HIDDEN:
        yield Problem("enc_key", "is masked, as in a copy of a spec; it is treated as not set")
