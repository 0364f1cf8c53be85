"""Maps layer names of Keras Applications to ours. Layers whose names already agree need no mapping.

The files do not store epsilon; it follows from the network family.
"""

import dataclasses
import re

from frcnn.training.pretrained.source import Source, SourceLayer

RESNET_EPSILON, OLD_RESNET_EPSILON = 1.001e-5, 1e-3
_RESNET = re.compile(r"conv([2-5])_block(\d+)_([0-3])_(conv|bn)")
_OLD_RESNET = re.compile(r"(res|bn)([2-5])([a-z])_branch(1|2[abc])")
_VGG = re.compile(r"block([1-5])_conv([1-4])")
_PREACTIVATED = re.compile(r"conv\d_block\d+_preact_bn")
_RESNET_STEM = {"conv1_conv": "conv1", "conv1_bn": "bn_conv1"}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"

SHIFTED = (
    "trained with padding at the bottom right only: features are shifted by up to a pixel at each stride "
    "of 2. A few hundred training steps compensate for this."
)


def unit_names(block: int, unit: int, index: int, kind: str) -> tuple[str, str]:
    """Returns the names of a ResNet layer in `resnet:N` and in the older `resnet101`.

    Args:
        block: Block, 1 to 4.
        unit: Unit within the block, from 0.
        index: Layer within the unit, 1 to 3; 0 for the shortcut.
        kind: `conv` or `bn`.

    Returns:
        Tuple of both names.
    """
    ours = f"block_{block}{_LETTERS[unit]}_{kind}_{index or 'shortcut'}"
    return ours, f"conv{block + 1}_block{unit + 1}_{index}_{kind}"


def vgg_name(block: int, index: int, kind: str = "conv") -> str:
    """Returns the name of a layer in `vgg:N`.

    Args:
        block: Block, from 1.
        index: Convolution within the block, from 1.
        kind: `conv` or `bn`.

    Returns:
        Layer name.
    """
    return f"block_{block}{_LETTERS[index - 1]}_{kind}_1"


def with_our_names(source: Source) -> Source:
    """Adds our layer names to a source, and the epsilon of the family if the file has none.

    Args:
        source: Layers by the names in the file.

    Returns:
        Source with layers under both names. A pre-activated ResNet is returned with a note only.
    """
    if any(_PREACTIVATED.fullmatch(name) for name in source.layers):
        note = "a pre-activated ResNet (V2) is a different network: few layers will fit"
        return dataclasses.replace(source, notes=(*source.notes, note))
    layers: dict[str, SourceLayer] = {}
    aliases: dict[str, SourceLayer] = {}
    resnet = "conv2_block1_1_conv" in source.layers
    for name, layer in source.layers.items():
        others, epsilon = _our_names(name, resnet)
        if layer.epsilon is None:
            layer = dataclasses.replace(layer, epsilon=epsilon)
        layers[name] = layer
        aliases.update(dict.fromkeys(others, layer))
    notes = (*source.notes, SHIFTED) if "bn_Conv1" in source.layers else source.notes
    return dataclasses.replace(source, layers={**aliases, **layers}, notes=notes)


def _our_names(name: str, resnet: bool) -> tuple[tuple[str, ...], float | None]:
    """Returns other names of a layer, and the epsilon of its family."""
    if match := _RESNET.fullmatch(name):
        block, unit, index, kind = match.groups()
        if not 1 <= int(unit) <= len(_LETTERS):
            return (), None
        return unit_names(int(block) - 1, int(unit) - 1, int(index), kind), RESNET_EPSILON
    if match := _OLD_RESNET.fullmatch(name):
        kind, block, letter, branch = match.groups()
        index = 0 if branch == "1" else " abc".index(branch[1])
        word = "conv" if kind == "res" else "bn"
        return unit_names(int(block) - 1, _LETTERS.index(letter), index, word), OLD_RESNET_EPSILON
    if match := _VGG.fullmatch(name):
        return (vgg_name(int(match[1]), int(match[2])),), None
    if resnet and name in _RESNET_STEM:
        return (_RESNET_STEM[name],), RESNET_EPSILON
    # MobileNetV2 in Keras Applications: Conv1, bn_Conv1, block_1_expand_BN, Conv_1, Conv_1_bn.
    return ((name.lower(),) if name != name.lower() else ()), None
