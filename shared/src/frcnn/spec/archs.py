"""The table of backbones: what `model_config.arch` may be, and which options have an effect on it.

A family's layers are in `frcnn.model.backbones.<family>`. Source of blocks and options: the reference.
"""

import dataclasses
import math

# EfficientNet: width and depth of each variant as factors of b0, and how often b0 repeats each stage's unit.
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
# The rate of drop-connect grows by this share of `drop_connect_rate` from unit to unit: b0 has 16 of them.
DROP_CONNECT_STEP = 1 / sum(EFFICIENTNET_REPEATS)


@dataclasses.dataclass(frozen=True)
class Family:
    """What `arch` says before its colon.

    Attributes:
        blocks: Ids that `freeze_blocks` may name.
        options: Fields of `model_config` that have an effect on this family only as on some others.
        variants: What may stand after the colon; empty if there is none.
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
    # The two of before the names with a colon.
    "vgg16": Family(range(1, 6), frozenset({"dropout_rate"})),
    "resnet101": Family(range(4), frozenset({"use_bias"})),
}

ARCHS = tuple(
    f"{name}:{variant}" if variant else name
    for name, family in FAMILIES.items()
    for variant in family.variants or ("",)
)


def family_of(arch: str) -> Family:
    """The family of one of `ARCHS`."""
    return FAMILIES[arch.partition(":")[0]]


def drop_connect_limit(arch: str) -> float | None:
    """Returns the `drop_connect_rate` at which the last residual unit would drop everything.

    Args:
        arch: One of `ARCHS`.

    Returns:
        The limit, which the rate has to stay below; None for a family without this option.
    """
    name, _, variant = arch.partition(":")
    if name != "efficientnet":
        return None
    _, depth = EFFICIENTNETS[variant]
    repeats = [math.ceil(count * depth) for count in EFFICIENTNET_REPEATS]
    # The first unit of a stage has no shortcut to drop.
    last = sum(repeats) - 1 if repeats[-1] > 1 else sum(repeats[:-1]) - 1
    return 1 / (last * DROP_CONNECT_STEP)
