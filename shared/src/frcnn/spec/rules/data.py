"""Rules across fields of `dataset_config`, `augmentation_config` and the model."""

import unicodedata
from collections.abc import Iterator

from frcnn.class_names import stored_class_name
from frcnn.console.foreign_text import printable
from frcnn.errors import Problem
from frcnn.spec.schema.experiment import Experiment

_MAPPING = "dataset_config.target_class_mapping"
_PREPROCESSING = "augmentation_config.preprocessing"
_SPATIAL = "augmentation_config.spatial_augmentation"
BACKGROUND = "background"
# Unicode categories: control characters, line and paragraph separators, surrogates.
_CONTROLS = ("Cc", "Zl", "Zp", "Cs")


def class_names(spec: Experiment) -> Iterator[Problem]:
    """Checks that class names are not empty, contain no control characters and are not `background`."""
    for key, value in spec.dataset_config.target_class_mapping.items():
        stored = stored_class_name(key)
        if stored == BACKGROUND:
            yield Problem(f'{_MAPPING}["{key}"].key', f'found "{key}"; this name is reserved for "no object"')
        if value.strip().lower() == BACKGROUND:
            yield Problem(
                f'{_MAPPING}["{key}"]',
                f'found "{value}"; reserved for "no object"; expected another class, or no entry for "{key}"',
            )
        if not stored:
            yield Problem(f'{_MAPPING}["{key}"].key', "empty; expected a class name from the records")
        for name, path in ((key, f'{_MAPPING}["{key}"].key'), (value, f'{_MAPPING}["{key}"]')):
            if any(unicodedata.category(character) in _CONTROLS for character in name):
                yield Problem(path, f'found "{printable(name)}"; control characters are not allowed')
        if not value.strip():
            yield Problem(f'{_MAPPING}["{key}"]', "empty; expected the name of a class")


def same_keys(spec: Experiment) -> Iterator[Problem]:
    """Checks that keys that differ only in case or spaces map to the same class."""
    mapping = spec.dataset_config.target_class_mapping
    first: dict[str, str] = {}
    for key in mapping:
        stored = stored_class_name(key)
        other = first.setdefault(stored, key)
        if mapping[other] != mapping[key]:
            yield Problem(
                f'{_MAPPING}["{key}"]',
                f'found "{mapping[key]}", and "{mapping[other]}" for key "{other}"; both keys are read as '
                f'"{stored}", like class names in records; remove one of the two entries',
            )


def crop(spec: Experiment) -> Iterator[Problem]:
    """Checks that left <= right and top <= bottom for the crop."""
    config = spec.augmentation_config.preprocessing
    for low, high in (("left", "right"), ("top", "bottom")):
        first, second = getattr(config, f"crop_{low}"), getattr(config, f"crop_{high}")
        if first > second:
            yield Problem(
                f"{_PREPROCESSING}.crop_{low}",
                f"found {first} with crop_{high} {second}; expected crop_{low} <= crop_{high} (px)",
            )


def zoom(spec: Experiment) -> Iterator[Problem]:
    """Checks that `zoom_min` <= `zoom_max`."""
    config = spec.augmentation_config.spatial_augmentation
    if config.zoom_min > config.zoom_max > 0:
        yield Problem(
            f"{_SPATIAL}.zoom_min",
            f"found {config.zoom_min:g} with zoom_max {config.zoom_max:g}; expected zoom_min <= zoom_max",
        )


def static_size(spec: Experiment) -> Iterator[Problem]:
    """Checks that a static input size is equal in the model and in preprocessing."""
    size = spec.model_config.input_image_config.size_height_width
    if size is None:
        return
    config = spec.augmentation_config.preprocessing
    for side, expected in (("width", size.width), ("height", size.height)):
        found = getattr(config, f"output_image_{side}")
        if found and expected and found != expected:
            yield Problem(
                f"{_PREPROCESSING}.output_image_{side}",
                f"found {found}; expected {expected} as in model_config.input_image_config, or unset",
            )
    for name in ("output_image_min", "output_image_max"):
        if getattr(config, name):
            yield Problem(
                f"{_PREPROCESSING}.{name}",
                f"found {getattr(config, name)} with a model of static shape; "
                "leave it unset, or use size_min in model_config.input_image_config",
            )


def dynamic_size(spec: Experiment) -> Iterator[Problem]:
    """Checks that a dynamic shape has its limits and no fixed size."""
    size = spec.model_config.input_image_config.size_min
    if size is None:
        return
    config = spec.augmentation_config.preprocessing
    short = config.output_image_min or size.min
    if config.output_image_max < short:
        found = f"found {config.output_image_max}" if config.output_image_max else "required, but not set"
        yield Problem(
            f"{_PREPROCESSING}.output_image_max",
            f"{found}; expected a maximum for the long side, {short} px or more, for a dynamic shape",
        )
    for side in ("width", "height"):
        found_side = getattr(config, f"output_image_{side}")
        if found_side and not config.output_image_min:
            yield Problem(
                f"{_PREPROCESSING}.output_image_{side}",
                f"found {found_side} with a model of dynamic shape (size_min); "
                "expected output_image_min and output_image_max instead",
            )


def channels(spec: Experiment) -> Iterator[Problem]:
    """Checks that preprocessing and the model have the same number of channels."""
    found = spec.augmentation_config.preprocessing.output_image_channel
    config = spec.model_config.input_image_config
    # TAO's own sample spec for gray images sets 3; the model's input takes precedence, in TAO and here.
    if found not in (0, config.channels) and (found, config.channels) != (3, 1):
        yield Problem(
            f"{_PREPROCESSING}.output_image_channel",
            f"found {found}; expected {config.channels} for image_type {config.image_type.name}",
        )


RULES = (class_names, same_keys, crop, zoom, static_size, dynamic_size, channels)
