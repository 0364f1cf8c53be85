"""Traces channels through networks: where they originate and which must be pruned together."""

import dataclasses
import difflib
import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import KerasTensor

from frcnn.errors import UsageError
from frcnn.pruning.channels import ChannelSpace, KeepReason
from frcnn.pruning.rules import Call, Rule, Shape, UnprunableError, rule_for


@dataclasses.dataclass(frozen=True)
class LayerChannels:
    """Channels of one layer.

    Attributes:
        layer: Layer of the original network.
        part: Index of the network that the layer belongs to.
        inputs: Class of each channel of the first input, `[channels]`; empty for an input layer.
        outputs: Class of each channel of the output, `[channels]`.
        places: Number of positions per image or RoI at which the layer is evaluated: rows times columns.
        rule: Rule that describes how the layer treats channels. `None` if it is unknown and the layer
            stays unchanged.
    """

    layer: keras.Layer
    part: int
    inputs: np.ndarray
    outputs: np.ndarray
    places: int
    rule: Rule | None

    @property
    def has_filters(self) -> bool:
        """Returns whether pruning can remove filters of this layer."""
        return self.rule is not None and self.rule.has_filters


@dataclasses.dataclass(frozen=True)
class Unprunable:
    """Layer that channels cannot be traced through, and the reason."""

    layer: str
    kind: str
    reason: str

    def __str__(self) -> str:
        """Returns a one-line description."""
        return f"{self.layer} ({self.kind}): {self.reason}; this layer and its inputs are not pruned"


@dataclasses.dataclass(frozen=True)
class ChannelGraph:
    """All layers of consecutive networks with the classes of their channels.

    Attributes:
        layers: Layers in order of computation.
        count: Number of channel classes.
        pins: For each class that must stay, the reason.
        unprunable: Layers that channels cannot be traced through.
    """

    layers: tuple[LayerChannels, ...]
    count: int
    pins: dict[int, KeepReason]
    unprunable: tuple[Unprunable, ...]


def trace(networks: Sequence[keras.Model], excluded: Sequence[str] = (), side: int = 256) -> ChannelGraph:
    """Traces the channels through consecutive networks.

    Args:
        networks: Functional models. The first output of each one feeds the first input of the next,
            possibly through RoI pooling, which preserves channels. All other outputs keep all channels.
        excluded: Names of layers whose output channels stay.
        side: Height and width assumed for inputs of free size, px. Used for costs only.

    Returns:
        Channel graph of all networks.

    Raises:
        UsageError: An excluded layer does not exist.
    """
    _check_names(networks, excluded)
    tracer = _Tracer(frozenset(excluded), side)
    passed = None
    for part, network in enumerate(networks):
        outputs = tracer.follow(part, network, passed)
        passed = outputs[0]
        for tensor, channels in list(zip(network.outputs, outputs, strict=True))[part < len(networks) - 1 :]:
            tracer.space.pin(channels, _maker(tensor), "an output of the network", preferred=True)
    return tracer.result()


class _Tracer:
    """Walks over networks in order of computation."""

    def __init__(self, excluded: frozenset[str], side: int) -> None:
        self.space = ChannelSpace()
        self._excluded = excluded
        self._side = side
        self._shapes: dict[int, Shape] = {}
        self._layers: dict[int, LayerChannels] = {}
        self._unprunable: dict[str, Unprunable] = {}

    def follow(self, part: int, network: keras.Model, passed: np.ndarray | None) -> list[np.ndarray]:
        """Returns the channels of a network's outputs.

        Args:
            part: Index of the network.
            network: Functional model.
            passed: Channels of its first input, or `None` for the first network.

        Returns:
            Channel numbers of each output.
        """
        known: dict[int, np.ndarray] = {}
        for index, tensor in enumerate(network.inputs):
            inside = passed is not None and index == 0
            channels = passed if inside else self._outside(tensor)
            known[id(tensor)] = channels  # type: ignore[assignment]
        # Keras has no public access to layer calls. Its own cloning walks over the same nodes.
        for depth in sorted(network._nodes_by_depth, reverse=True):
            for node in network._nodes_by_depth[depth]:
                if not node.is_input:
                    self._call(part, node, known)
        return [known[id(tensor)] for tensor in network.outputs]

    def result(self) -> ChannelGraph:
        """Returns the channel graph, with classes in place of channel numbers."""
        classes = self.space.classes()
        layers = tuple(
            dataclasses.replace(each, inputs=classes.of[each.inputs], outputs=classes.of[each.outputs])
            for each in self._layers.values()
        )
        return ChannelGraph(layers, classes.count, dict(classes.pins), tuple(self._unprunable.values()))

    def _outside(self, tensor: KerasTensor) -> np.ndarray:
        channels = self.space.new(_last(tensor))
        self.space.pin(channels, _maker(tensor), "an input of the network")
        return channels

    def _call(self, part: int, node: object, known: dict[int, np.ndarray]) -> None:
        layer, tensors, made = node.operation, node.input_tensors, node.outputs  # type: ignore[attr-defined]
        inputs = tuple(known[id(tensor)] for tensor in tensors)
        rule: Rule | None = None
        try:
            rule = rule_for(layer)
            if len(made) != 1:
                raise UnprunableError("it has several outputs")
            shapes = tuple(tuple(tensor.shape) for tensor in tensors)
            outputs = [rule.flow(self.space, Call(layer, inputs, shapes, tuple(made[0].shape)))]
        except UnprunableError as error:
            rule = None
            outputs = self._barrier(layer, inputs, made, str(error))
        for tensor, channels in zip(made, outputs, strict=True):
            known[id(tensor)] = channels
            if layer.name in self._excluded:
                self.space.pin(channels, layer.name, "excluded")
        if isinstance(layer, keras.Layer):
            self._note(
                LayerChannels(layer, part, inputs[0], outputs[0], self._places(layer, tensors, made[0]), rule)
            )

    def _barrier(
        self, layer: keras.Layer, inputs: Sequence[np.ndarray], made: Sequence[KerasTensor], reason: str
    ) -> list[np.ndarray]:
        kind = type(layer).__name__
        self._unprunable.setdefault(layer.name, Unprunable(layer.name, kind, reason))
        outputs = [self.space.new(_last(tensor)) for tensor in made]
        for channels in (*inputs, *outputs):
            self.space.pin(channels, f"{layer.name} ({kind})", reason)
        return outputs

    def _places(self, layer: keras.Layer, tensors: Sequence[KerasTensor], made: KerasTensor) -> int:
        """Counts the positions at which a layer is evaluated. Free sizes count as `side`."""
        shape = tuple(made.shape)
        if None in shape[1:-1]:
            shapes = [self._shapes.get(id(tensor)) or self._sized(tensor) for tensor in tensors]
            shape = tuple(layer.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes))
            self._shapes[id(made)] = shape
        return math.prod(each or 1 for each in shape[1:-1])

    def _sized(self, tensor: KerasTensor) -> Shape:
        batch, *sides, channels = tensor.shape
        return (batch, *(each or self._side for each in sides), channels)

    def _note(self, new: LayerChannels) -> None:
        """Records a layer. Repeated calls of a layer with state must use the same channels."""
        old = self._layers.setdefault(id(new.layer), new)
        if old is new:
            return
        self._layers[id(new.layer)] = dataclasses.replace(old, places=old.places + new.places)
        if new.layer.variables or isinstance(new.layer, keras.layers.Reshape):
            self.space.join(old.inputs, new.inputs)
            self.space.join(old.outputs, new.outputs)


def _check_names(networks: Sequence[keras.Model], excluded: Sequence[str]) -> None:
    names = [layer.name for network in networks for layer in network.layers]
    problems = []
    for name in excluded:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}? (a dry run lists all)" if near else f"layers: {', '.join(names)}"
            problems.append(f"excluded_layers {name}: the model has no such layer; {hint}")
    if problems:
        raise UsageError("\n".join(problems), argument="excluded_layers")


def _maker(tensor: KerasTensor) -> str:
    return str(tensor._keras_history.operation.name)


def _last(tensor: KerasTensor) -> int:
    return tensor.shape[-1] or 0 if len(tensor.shape) > 1 else 0
