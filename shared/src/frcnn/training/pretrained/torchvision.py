"""Converts state dicts of torchvision backbones to layers with our names in Keras layout.

PyTorch stores kernels as `[out, in, h, w]` (depthwise `[channels, 1, h, w]`) and dense ones as `[out, in]`.
"""

import itertools
import re
from collections.abc import Iterator, Mapping

import numpy as np

from frcnn.training.pretrained.applications import unit_names, vgg_name
from frcnn.training.pretrained.source import Source, SourceLayer

EPSILON = 1e-5
STATE_DICT = "PyTorch state dict"

_NORM_ROLES = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
_RESNET_UNIT = re.compile(r"layer([1-4])\.(\d+)\.(?:(conv|bn)([123])|downsample\.([01]))")
_RESNET_STEM = {"conv1": ("conv1", "conv1_conv"), "bn1": ("bn_conv1", "conv1_bn")}
_PREFIXES = ("module.", "model.", "backbone.", "body.")
_MAX_UNITS, _MAX_WIDTH = 26, 2048

# Convolutions per block of a VGG, by the total number of convolutions.
_VGG_DEPTHS = {13: (2, 2, 3, 3, 3), 16: (2, 2, 4, 4, 4)}
_VGG_POOLED, _VGG_WIDTH = 7, 512
_MOBILENET_LAST = 18
_MOBILENET_NAMES = {2: ("depthwise", "project"), 3: ("expand", "depthwise", "project")}

Modules = dict[str, dict[str, np.ndarray]]


def from_state_dict(tensors: Mapping[str, np.ndarray]) -> Source:
    """Converts a state dict to layers.

    Args:
        tensors: Tensors by PyTorch's parameter names.

    Returns:
        Layers under our names, and under the names of their modules. Unknown networks have only the latter.
    """
    modules = _modules(tensors)
    layers: dict[str, SourceLayer] = {}
    notes: tuple[str, ...] = ()
    if "layer1.0.conv1" in modules:
        layers = _resnet(modules)
        if "layer1.0.conv3" in modules:
            notes = (
                "this network has its strides in the 3x3 convolution of a unit, ours in the first 1x1. All "
                "weights fit, but features differ until training adapts them.",
            )
    elif "features.0.0" in modules and f"features.{_MOBILENET_LAST}.0" in modules:
        layers = _mobilenet_v2(modules)
    elif "features.0" in modules:
        layers = _vgg(modules)
    own = {name: _layer(weights) for name, weights in modules.items()}
    return Source(STATE_DICT, {**own, **layers}, notes)


def _modules(tensors: Mapping[str, np.ndarray]) -> Modules:
    """Groups tensors by module: the name before the last dot, without wrapper prefixes."""
    modules: Modules = {}
    for name, tensor in tensors.items():
        module, _, parameter = name.rpartition(".")
        while prefix := next((each for each in _PREFIXES if module.startswith(each)), ""):
            module = module.removeprefix(prefix)
        modules.setdefault(module, {})[parameter] = tensor
    return modules


def _layer(weights: Mapping[str, np.ndarray], depthwise: bool = False) -> SourceLayer:
    """Converts one module to Keras layout."""
    if "running_mean" in weights:
        roles = {_NORM_ROLES[name]: value for name, value in weights.items() if name in _NORM_ROLES}
        return SourceLayer(roles, EPSILON)
    found = dict(weights)
    kernel = found.pop("weight", None)
    if kernel is not None:
        found["kernel"] = _kernel(kernel, depthwise)
    return SourceLayer(found)


def _kernel(kernel: np.ndarray, depthwise: bool) -> np.ndarray:
    if kernel.ndim == 4:
        return kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    return kernel.T if kernel.ndim == 2 else kernel


def _resnet(modules: Modules) -> dict[str, SourceLayer]:
    layers: dict[str, SourceLayer] = {}
    for module, weights in modules.items():
        layers.update(dict.fromkeys(_resnet_names(module), _layer(weights)))
    return {**_identity_shortcuts(modules), **layers}


def _identity_shortcuts(modules: Modules) -> dict[str, SourceLayer]:
    """Creates identity projections for units that have none; our units may need one."""
    layers: dict[str, SourceLayer] = {}
    kernels: dict[int, SourceLayer] = {}
    for module in modules:
        match, unit = _RESNET_UNIT.fullmatch(module), module.removesuffix(".conv1")
        if match is None or module == unit or int(match[2]) >= _MAX_UNITS:
            continue
        width = _unit_width(modules, unit)
        if width not in kernels:
            kernels[width] = SourceLayer({"kernel": np.eye(width, dtype=np.float32)[None, None]})
        block, number = int(match[1]), int(match[2])
        layers.update(dict.fromkeys(unit_names(block, number, 0, "conv"), kernels[width]))
        layers.update(dict.fromkeys(unit_names(block, number, 0, "bn"), _identity_norm(width)))
    return layers


def _unit_width(modules: Modules, unit: str) -> int:
    """Returns the number of output channels of a unit."""
    last = modules.get(f"{unit}.bn3") or modules.get(f"{unit}.bn2") or {}
    return min(last.get("running_mean", np.zeros(0)).size, _MAX_WIDTH)


def _identity_norm(width: int) -> SourceLayer:
    ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
    weights = {"gamma": ones, "beta": zeros, "moving_mean": zeros, "moving_variance": ones}
    return SourceLayer(weights, epsilon=0.0)


def _resnet_names(module: str) -> tuple[str, ...]:
    match = _RESNET_UNIT.fullmatch(module)
    if match is None or int(match[2]) >= _MAX_UNITS:
        return _RESNET_STEM.get(module, ())
    block, unit, kind, index, shortcut = match.groups()
    if shortcut is not None:
        kind, index = ("conv", "bn")[int(shortcut)], "0"
    return unit_names(int(block), int(unit), int(index), kind)


def _mobilenet_v2(modules: Modules) -> dict[str, SourceLayer]:
    """Converts MobileNetV2 by module order in each block: names vary between versions."""
    layers: dict[str, SourceLayer] = {}
    for block in range(_MOBILENET_LAST + 1):
        pairs = list(_pairs(modules, f"features.{block}."))
        names = _mobilenet_names(block, len(pairs))
        for (conv, norm), (conv_name, norm_name) in zip(pairs, names, strict=False):
            layers[conv_name] = _layer(conv, depthwise=conv_name.endswith("depthwise"))
            if norm is not None:
                layers[norm_name] = _layer(norm)
    return layers


def _mobilenet_names(block: int, convolutions: int) -> list[tuple[str, str]]:
    if block == 0:
        return [("conv1", "bn_conv1")]
    if block == _MOBILENET_LAST:
        return [("conv_1", "conv_1_bn")]
    prefix = f"block_{block - 1}" if block > 1 else "expanded_conv"
    parts = _MOBILENET_NAMES.get(convolutions, ())
    return [(f"{prefix}_{part}", f"{prefix}_{part}_bn") for part in parts]


def _vgg(modules: Modules) -> dict[str, SourceLayer]:
    pairs = list(_pairs(modules, "features."))
    layers: dict[str, SourceLayer] = {}
    depths = _VGG_DEPTHS.get(len(pairs), ())
    places = [(block, index) for block, depth in enumerate(depths, 1) for index in range(1, depth + 1)]
    for (conv, norm), (block, index) in zip(pairs, places, strict=False):
        layers[vgg_name(block, index)] = layers[f"block{block}_conv{index}"] = _layer(conv)
        if norm is not None:
            layers[vgg_name(block, index, "bn")] = _layer(norm)
    for module, name in (("classifier.0", "fc1"), ("classifier.3", "fc2")):
        if places and module in modules:
            layers[name] = _layer(modules[module])
    if "fc1" in layers and "kernel" in layers["fc1"].weights:
        weights = dict(layers["fc1"].weights)
        layers["fc1"] = SourceLayer({**weights, "kernel": _rows_by_place(weights["kernel"])})
    return layers


def _rows_by_place(kernel: np.ndarray) -> np.ndarray:
    """Reorders the inputs of a dense kernel `[in, out]` from (channel, y, x) to (y, x, channel)."""
    sides = (_VGG_WIDTH, _VGG_POOLED, _VGG_POOLED)
    if kernel.ndim != 2 or kernel.shape[0] != np.prod(sides):
        return kernel
    return kernel.reshape(*sides, -1).transpose(1, 2, 0, 3).reshape(kernel.shape)


def _pairs(
    modules: Modules, prefix: str
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]]:
    """Yields convolutions under `prefix` in order, each with its normalization, if any."""
    names = sorted((name for name in modules if name.startswith(prefix)), key=_in_order)
    found = [modules[name] for name in names if "weight" in modules[name]]
    for weights, following in itertools.pairwise([*found, {}]):
        if weights["weight"].ndim == 4:
            yield weights, following if "running_mean" in following else None


def _in_order(name: str) -> list[tuple[int, str]]:
    """Returns a sort key that puts `features.10` after `features.9`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in name.split(".")]
