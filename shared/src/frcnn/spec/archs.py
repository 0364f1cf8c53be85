"""The table of backbones: what `model_config.arch` may be, and which options have an effect on it.

A family's layers are in `frcnn.model.backbones.<family>`. Source of blocks and options: the reference.
"""

import dataclasses


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
        tuple(f"b{size}" for size in range(8)),
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
