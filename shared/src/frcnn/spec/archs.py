"""Table of backbones: the values of `model_config.arch`, and the options that each family supports.

The layers of a family are in `frcnn.model.backbones.<family>`. Blocks and options equal those of TAO.
"""

import dataclasses
import math

# EfficientNet: width and depth of each variant relative to b0, and the number of units per stage of b0.
EFFICIENTNETS = {
    "b0": (1.0, 1.0),
    "b1": (1.0, 1.1),
    "b2": (1.1, 1.2),
    "b3": (1.2, 1.4),
    "b4": (1.4, 1.8),
    "b5": (1.6, 2.2),
    "b6": (1.8, 2.6),
    "b7": (2.0, 3.1),
}
EFFICIENTNET_REPEATS = (1, 2, 2, 3, 3, 4, 1)
# With each unit, the drop-connect rate increases by this fraction of `drop_connect_rate`; b0 has 16 units.
DROP_CONNECT_STEP = 1 / sum(EFFICIENTNET_REPEATS)


@dataclasses.dataclass(frozen=True)
class Family:
    """Backbone family: the part of `arch` before the colon.

    Attributes:
        blocks: Block ids allowed in `freeze_blocks`.
        options: Fields of `model_config` that only some families support, this one included.
        variants: Values allowed after the colon; empty if the family has no variants.
    """

    blocks: range
    options: frozenset[str]
    variants: tuple[str, ...] = ()


FAMILIES = {
    "resnet": Family(
        range(4), frozenset({"use_bias", "use_pooling", "all_projections"}), ("10", "18", "34", "50", "101")
    ),
    "vgg": Family(range(1, 6), frozenset({"use_bias", "use_pooling", "dropout_rate"}), ("16", "19")),
    "googlenet": Family(range(8), frozenset({"use_bias"})),
    "mobilenet_v1": Family(range(12), frozenset({"use_bias"})),
    "mobilenet_v2": Family(range(14), frozenset({"use_bias", "all_projections"})),
    "darknet": Family(range(6), frozenset({"use_bias"}), ("19", "53")),
    "efficientnet": Family(
        range(9),
        frozenset({"use_bias", "dropout_rate", "drop_connect_rate", "activation"}),
        tuple(EFFICIENTNETS),
    ),
    # Legacy names from before the notation with a colon.
    "vgg16": Family(range(1, 6), frozenset({"dropout_rate"})),
    "resnet101": Family(range(4), frozenset({"use_bias"})),
}

ARCHS = tuple(
    f"{name}:{variant}" if variant else name
    for name, family in FAMILIES.items()
    for variant in family.variants or ("",)
)


def family_of(arch: str) -> Family:
    """Returns the family of a backbone.

    Args:
        arch: One of `ARCHS`.

    Returns:
        The family.
    """
    return FAMILIES[arch.partition(":")[0]]


def drop_connect_limit(arch: str) -> float | None:
    """Returns the `drop_connect_rate` at which the last residual unit would drop all images.

    Args:
        arch: One of `ARCHS`.

    Returns:
        Exclusive upper limit of the rate; `None` for a family without this option.
    """
    name, _, variant = arch.partition(":")
    if name != "efficientnet":
        return None
    _, depth = EFFICIENTNETS[variant]
    repeats = [math.ceil(count * depth) for count in EFFICIENTNET_REPEATS]
    # The first unit of a stage has no shortcut, so nothing is dropped there.
    last = sum(repeats) - 1 if repeats[-1] > 1 else sum(repeats[:-1]) - 1
    return 1 / (last * DROP_CONNECT_STEP)
