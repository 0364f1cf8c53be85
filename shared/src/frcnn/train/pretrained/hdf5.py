"""Weights in HDF5, as Keras 2 (`.h5`, `.hdf5`) and Keras 3 (`.weights.h5`, `.keras`) write them.

Read with h5py only: no layer is built, no class of the file is looked up. For files from elsewhere use
`frcnn.train.pretrained.apart`: the HDF5 library crashes on some damaged ones.
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np

from frcnn.errors import ModelError
from frcnn.train.pretrained.source import Source, SourceLayer

_MAX_DEPTH = 32

# Roles in the order in which Keras 3 numbers a layer's weights, by the shapes' ranks.
_ROLES_BY_RANKS = {
    (2,): ("kernel",),
    (4,): ("kernel",),
    (2, 1): ("kernel", "bias"),
    (4, 1): ("kernel", "bias"),
    (1, 1, 1, 1): ("gamma", "beta", "moving_mean", "moving_variance"),
}
_ROLES = frozenset(role for roles in _ROLES_BY_RANKS.values() for role in roles)


@dataclasses.dataclass
class Described:
    """What a model's configuration tells about its layers.

    Attributes:
        epsilons: Of batch normalisations, by name.
        inner: Name of the layer within a wrapper such as TimeDistributed, by the wrapper's name.
    """

    epsilons: dict[str, float] = dataclasses.field(default_factory=dict)
    inner: dict[str, str] = dataclasses.field(default_factory=dict)


def read_hdf5(path: Path, config: str | None = None) -> Source:
    """The layers in an HDF5 file.

    Args:
        path: The file.
        config: The model's configuration as JSON, if it is known from elsewhere.

    Raises:
        ModelError: It is broken, or holds no layers; does not name the file.
    """
    try:
        with h5py.File(path, "r") as archive:
            size = path.stat().st_size
            if (
                "model_weights" in archive
                or "layer_names" in archive.attrs
                or "layer_names0" in archive.attrs
            ):
                source = _keras2(archive, size)
            else:
                source = _keras3(archive, size, describe(config))
    except _FAULTS as error:
        raise ModelError(f"not a readable HDF5 weight file ({error})") from error
    if not source.layers:
        raise ModelError("holds no layers with names; save it with Keras 3.4 or newer")
    return source


def describe(config: str | bytes | None) -> Described:
    """What a configuration, JSON as any Keras writes it, tells about layers; nothing if it is broken."""
    described = Described()
    try:
        _describe(json.loads(config or "null"), described)
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


def _keras2(archive: h5py.File, size: int) -> Source:
    """Groups by layer, each with the paths of its weights; names are of the kind `conv1/kernel:0`."""
    described = describe(archive.attrs.get("model_config"))
    root = _child(archive, "model_weights") if "model_weights" in archive else archive
    weights: dict[str, dict[str, np.ndarray]] = {}
    for name in _strings(root, "layer_names"):
        group = _child(root, name)
        for weight in _strings(group, "weight_names"):
            owner, role = _owner_and_role(name, weight)
            array = _array(_child(group, weight), size)
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
    """The layer a weight belongs to, an inner one in nested models, and what it is to that layer."""
    path = PurePosixPath(weight.partition(":")[0])
    role = re.sub(r"_\d+$", "", path.name).removeprefix("depthwise_")
    return (path.parent.name or layer), role


def _keras3(archive: h5py.File, size: int, described: Described) -> Source:
    layers: dict[str, SourceLayer] = {}
    for name, variables in _named_variables(archive, 0):
        arrays = [_array(_child(variables, str(index)), size) for index in range(len(variables))]
        roles = _ROLES_BY_RANKS.get(tuple(array.ndim for array in arrays))
        if roles is not None:
            layer = SourceLayer(dict(zip(roles, arrays, strict=True)), described.epsilons.get(name))
            layers.setdefault(name, layer)
    for wrapper, inner in described.inner.items():
        if inner in layers:
            layers.setdefault(wrapper, layers[inner])
    return Source("Keras 3 weights", layers)


def _named_variables(group: h5py.Group, depth: int) -> Iterator[tuple[str, h5py.Group]]:
    """Each `vars` group that bears a layer's name and is not empty."""
    if depth > _MAX_DEPTH:
        raise ValueError("groups nested too deeply")
    for key in group:
        if key == "optimizer":
            continue
        child = _child(group, key)
        if not isinstance(child, h5py.Group):
            continue
        if key == "vars" and len(child):
            name = child.attrs.get("name")
            if isinstance(name, str):
                yield name, child
        elif key != "vars":
            yield from _named_variables(child, depth + 1)


def _child(group: h5py.Group, name: str) -> Any:
    """A member of a group, by path. Links that lead out of the file are refused."""
    current = group
    for part in PurePosixPath(name).parts:
        if part in ("/", "..", "."):
            raise ValueError(f"bad path {name!r}")
        if not isinstance(current, h5py.Group):
            raise KeyError(name)
        if not isinstance(current.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{name!r} is a link, which no weight file needs")
        current = current[part]
    return current


def _array(dataset: Any, size: int) -> np.ndarray:
    """A data set as float32; nothing that is larger than the file, nor kept elsewhere."""
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiu":
        raise ValueError("a weight that is not an array of numbers")
    if dataset.is_virtual or dataset.external:
        raise ValueError("a weight that is kept in another file")
    if dataset.nbytes > size:
        raise ValueError("a weight that claims to be larger than the file")
    with np.errstate(over="ignore"):
        return np.asarray(dataset[()]).astype(np.float32)


def _strings(group: h5py.Group, name: str) -> list[str]:
    """An attribute that lists names; Keras cuts long ones into `name0`, `name1`, ..."""
    attributes: Mapping[str, Any] = group.attrs
    if name in attributes:
        parts = [attributes[name]]
    else:
        parts = []
        while f"{name}{len(parts)}" in attributes:
            parts.append(attributes[f"{name}{len(parts)}"])
    values = [value for part in parts for value in np.asarray(part).ravel().tolist()]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


# What broken files make of h5py and the code above.
_FAULTS = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    RuntimeError,
    NotImplementedError,
    AttributeError,
    OverflowError,
    MemoryError,
)
