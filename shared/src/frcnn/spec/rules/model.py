"""Rules across fields of `model_config`."""

from collections.abc import Iterator

from frcnn.errors import Problem
from frcnn.spec.archs import ARCHS, FAMILIES, drop_connect_limit
from frcnn.spec.schema.constraints import did_you_mean
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.model import ImageType

_INPUT = "model_config.input_image_config"


def input_size(spec: Experiment) -> Iterator[Problem]:
    """Checks that one of the two input sizes is set."""
    config = spec.model_config.input_image_config
    if config.size_min is None and config.size_height_width is None:
        yield Problem(
            _INPUT, "no input size; expected size_height_width (static shape) or size_min (dynamic shape)"
        )


def channel_means(spec: Experiment) -> Iterator[Problem]:
    """Checks that each channel of the image type has a mean."""
    config = spec.model_config.input_image_config
    needed = ("l",) if config.image_type is ImageType.GRAY_SCALE else ("r", "g", "b")
    missing = [key for key in needed if key not in config.image_channel_mean]
    if missing:
        others = [key for key in config.image_channel_mean if key not in needed]
        found = ", ".join(config.image_channel_mean) or "none"
        yield Problem(
            f"{_INPUT}.image_channel_mean",
            f"found keys: {found}; expected {', '.join(needed)} for image_type {config.image_type.name}, "
            f"missing: {', '.join(missing)}{did_you_mean(others[0], missing) if others else ''}",
        )


def frozen_blocks(spec: Experiment) -> Iterator[Problem]:
    """Checks that frozen blocks exist. EfficientNet accepts any number, as old specs need."""
    name = spec.model_config.arch.partition(":")[0]
    family = FAMILIES.get(name)
    if family is None or name == "efficientnet":
        return
    first, last = family.blocks[0], family.blocks[-1]
    for index, block in enumerate(spec.model_config.freeze_blocks):
        if block not in family.blocks:
            yield Problem(
                f"model_config.freeze_blocks[{index}]",
                f"found {block}; expected a block of {name}: {first} to {last}",
            )


def drop_connect(spec: Experiment) -> Iterator[Problem]:
    """Checks that no residual unit would drop all images; the rate increases with depth."""
    config = spec.model_config
    limit = drop_connect_limit(config.arch) if config.arch in ARCHS else None
    if limit is not None and config.drop_connect_rate >= limit:
        yield Problem(
            "model_config.drop_connect_rate",
            f"found {config.drop_connect_rate:g}; expected less than {limit:.4g} for {config.arch}: the rate "
            "increases with each unit, and the last unit would drop everything",
        )


RULES = (input_size, channel_means, frozen_blocks, drop_connect)
