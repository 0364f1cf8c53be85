"""Rules between fields of `model_config`."""

from collections.abc import Iterator

from frcnn.errors import Problem
from frcnn.spec.config import Experiment, ImageType
from frcnn.spec.constraints import did_you_mean

_INPUT = "model_config.input_image_config"

# Block ids that may be frozen, by the first part of `arch`. EfficientNet takes any, as it always did.
_BLOCKS = {
    "resnet": range(0, 4),
    "vgg": range(1, 6),
    "googlenet": range(0, 8),
    "mobilenet_v1": range(0, 12),
    "mobilenet_v2": range(0, 14),
    "darknet": range(0, 6),
}
# The two archs of before the names with a colon.
_FAMILIES = {"vgg16": "vgg", "resnet101": "resnet"}


def input_size(spec: Experiment) -> Iterator[Problem]:
    """One of the two sizes is needed."""
    config = spec.model_config.input_image_config
    if config.size_min is None and config.size_height_width is None:
        yield Problem(
            _INPUT,
            "no input size; expected size_height_width (static shape) or size_min (dynamic shape)",
        )


def channel_means(spec: Experiment) -> Iterator[Problem]:
    """Each channel of the image type needs a mean."""
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
    """A block has to exist to be frozen."""
    arch = spec.model_config.arch
    family = _FAMILIES.get(arch, arch.partition(":")[0])
    known = _BLOCKS.get(family)
    if known is None:
        return
    for index, block in enumerate(spec.model_config.freeze_blocks):
        if block not in known:
            yield Problem(
                f"model_config.freeze_blocks[{index}]",
                f"found {block}; expected a block of {family}: {known[0]} to {known[-1]}",
            )


RULES = (input_size, channel_means, frozen_blocks)
