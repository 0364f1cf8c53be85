"""Reads HDF5 weights by layer.

Keras 2 writes `.h5` and `.hdf5`, Keras 3 `.weights.h5` and `.keras`.
"""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from frcnn.errors import ModelError
from frcnn.limits import MODEL_TEXT_BYTES, MODEL_TEXT_VALUES, parse_json
from frcnn.model.files.hdf5_tree import Tree
from frcnn.training.pretrained.source import Source, SourceLayer

# Roles in the order in which Keras 3 numbers the weights of a layer, by the ranks of the shapes.
_ROLES_BY_RANKS = {
    (2,): ("kernel",),
    (4,): ("kernel",),
    (2, 1): ("kernel", "bias"),
    (4, 1): ("kernel", "bias"),
    (1, 1, 1, 1): ("gamma", "beta", "moving_mean", "moving_variance"),
}
_LAYER_NAMES = ("layer_names", "layer_names0")


@dataclasses.dataclass
class Described:
    """Properties of layers in a model configuration.

    Attributes:
        epsilons: Epsilons of batch normalizations, by layer name.
        inner: Name of the layer inside a wrapper such as TimeDistributed, by the name of the wrapper.
    """

    epsilons: dict[str, float] = dataclasses.field(default_factory=dict)
    inner: dict[str, str] = dataclasses.field(default_factory=dict)


def layers_in(tree: Tree, shown: Path, config: str | None = None) -> Source:
    """Extracts the layers from the content of an HDF5 file.

    Args:
        tree: Content of the file.
        shown: Path to use in messages.
        config: Model configuration as JSON, if it is stored elsewhere.

    Returns:
        Layers in the file.

    Raises:
        ModelError: The file has no layers, or is not a weight file of Keras.
    """
    root = "model_weights" if "model_weights" in tree.texts else ""
    try:
        if any(name in tree.texts.get(root, {}) for name in _LAYER_NAMES):
            source = _keras2(tree, root)
        else:
            source = _keras3(tree, describe(config))
    except (KeyError, ValueError) as error:
        raise ModelError(f"{shown}: not a weight file of Keras ({error})") from error
    if not source.layers:
        raise ModelError(f"{shown} has no named layers. Save it with Keras 3.4 or newer.")
    return source


def describe(config: str | bytes | None) -> Described:
    """Extracts layer properties from a model configuration.

    Args:
        config: JSON of any Keras version, or `None`.

    Returns:
        Properties; empty if the configuration is missing or broken.
    """
    described = Described()
    try:
        _describe(parse_json(config or "null", MODEL_TEXT_BYTES, MODEL_TEXT_VALUES), described)
    except (ValueError, RecursionError):
        return Described()
    return described


def _describe(node: Any, described: Described) -> None:
    if isinstance(node, list):
        for each in node:
            _describe(each, described)
    if not isinstance(node, dict):
        return
    config = node.get("config")
    if isinstance(config, dict) and isinstance(config.get("name"), str):
        epsilon, layer = config.get("epsilon"), config.get("layer")
        if isinstance(epsilon, float):
            described.epsilons[config["name"]] = epsilon
        inner = layer.get("config") if isinstance(layer, dict) else None
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            described.inner[config["name"]] = inner["name"]
    for each in node.values():
        _describe(each, described)


def _keras2(tree: Tree, root: str) -> Source:
    """Reads groups of layers, each listing its weights; names look like `conv1/kernel:0`."""
    config = tree.texts.get("", {}).get("model_config")
    described = describe(config if isinstance(config, str) else None)
    weights: dict[str, dict[str, np.ndarray]] = {}
    float32 = _Widened()
    for name in _list(tree, root, "layer_names"):
        group = f"{root}/{name}" if root else name
        for weight in _list(tree, group, "weight_names"):
            owner, role = _owner_and_role(name, weight)
            array = float32(tree.arrays[f"{group}/{weight}"])
            weights.setdefault(owner, {}).setdefault(role, array)
            weights.setdefault(described.inner.get(owner, owner), {}).setdefault(role, array)
            if owner != name and "/" in weight:
                weights.setdefault(name, {}).setdefault(role, array)
    epsilons = described.epsilons
    for wrapper, inner in described.inner.items():
        if inner in epsilons:
            epsilons.setdefault(wrapper, epsilons[inner])
    layers = {name: SourceLayer(roles, epsilons.get(name)) for name, roles in weights.items()}
    return Source("Keras 2 HDF5", layers)


def _owner_and_role(layer: str, weight: str) -> tuple[str, str]:
    """Returns the layer of a weight (in nested models, the inner one) and the weight's role."""
    path = PurePosixPath(weight.partition(":")[0])
    role = re.sub(r"_\d+$", "", path.name).removeprefix("depthwise_")
    return (path.parent.name or layer), role


def _keras3(tree: Tree, described: Described) -> Source:
    layers: dict[str, SourceLayer] = {}
    float32 = _Widened()
    for name, arrays in _named_variables(tree):
        roles = _ROLES_BY_RANKS.get(tuple(array.ndim for array in arrays))
        if roles is not None:
            weights = dict(zip(roles, map(float32, arrays), strict=True))
            layers.setdefault(name, SourceLayer(weights, described.epsilons.get(name)))
    for wrapper, inner in described.inner.items():
        if inner in layers:
            layers.setdefault(wrapper, layers[inner])
    return Source("Keras 3 weights", layers)


def _named_variables(tree: Tree) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yields the non-empty `vars` groups that have a layer name, except those of optimizers."""
    for group, texts in tree.texts.items():
        path, name = PurePosixPath(group), texts.get("name")
        if path.name == "vars" and isinstance(name, str) and "optimizer" not in path.parts:
            arrays = tree.numbered(group)
            if arrays:
                yield name, arrays


class _Widened:
    """Converter to float32 that converts each array once: an array may have many names."""

    def __init__(self) -> None:
        # Keeps the array itself alive, so that no other array can get its address.
        self._made: dict[tuple[object, ...], tuple[np.ndarray, np.ndarray]] = {}

    def __call__(self, array: np.ndarray) -> np.ndarray:
        place = array.__array_interface__["data"][0], array.shape, array.dtype.str
        if place not in self._made:
            with np.errstate(over="ignore"):
                self._made[place] = array, array.astype(np.float32, copy=False)
        return self._made[place][1]


def _list(tree: Tree, path: str, name: str) -> list[str]:
    """Reads an attribute that lists names; Keras splits long lists into `name0`, `name1`, ..."""
    texts = tree.texts.get(path, {})
    if name in texts:
        parts = [texts[name]]
    else:
        parts = []
        while f"{name}{len(parts)}" in texts:
            parts.append(texts[f"{name}{len(parts)}"])
    return [text for part in parts for text in ([part] if isinstance(part, str) else part)]
