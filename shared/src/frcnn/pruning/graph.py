"""The channels of whole networks: where they come from, and which can only go together."""

import dataclasses
import difflib
import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import KerasTensor

from frcnn.errors import UsageError
from frcnn.pruning.channels import ChannelSpace, Pin
from frcnn.pruning.rules import Call, Rule, Shape, UnprunableError, rule_for


@dataclasses.dataclass(frozen=True)
class LayerChannels:
    """One layer as pruning sees it.

    Attributes:
        layer: Of the original network.
        part: Index of its network.
        inputs: Class of each channel of its first input, [channels]; empty for an input layer.
        outputs: Class of each channel of its output, [channels].
        places: At how many places of an image or RoI it is computed, rows times columns.
        rule: How it treats channels; None if nobody knows, and it stays as it is.
    """

    layer: keras.Layer
    part: int
    inputs: np.ndarray
    outputs: np.ndarray
    places: int
    rule: Rule | None

    @property
    def has_filters(self) -> bool:
        """Whether pruning can take something from it."""
        return self.rule is not None and self.rule.has_filters


@dataclasses.dataclass(frozen=True)
class Unprunable:
    """A layer that channels cannot be followed through, and why."""

    layer: str
    kind: str
    reason: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.layer} ({self.kind}): {self.reason}; it and what feeds it stay whole"


@dataclasses.dataclass(frozen=True)
class ChannelGraph:
    """All layers of networks in a row, the classes of their channels, and what must stay."""

    layers: tuple[LayerChannels, ...]
    count: int
    pins: dict[int, Pin]
    unprunable: tuple[Unprunable, ...]


def trace(networks: Sequence[keras.Model], excluded: Sequence[str] = (), side: int = 256) -> ChannelGraph:
    """Follows the channels through networks in a row.

    Args:
        networks: Functional models. The first output of each is what feeds the first input of the
            next (through RoI pooling, say, which keeps channels); all other outputs stay whole.
        excluded: Names of layers whose output channels stay.
        side: What height and width of an input count as where they are not fixed; for the costs.

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
            tracer.space.pin(channels, _maker(tensor), "an output of the network", foremost=True)
    return tracer.result()


class _Tracer:
    """Walks over networks in the order of computation."""

    def __init__(self, excluded: frozenset[str], side: int) -> None:
        self.space = ChannelSpace()
        self._excluded = excluded
        self._side = side
        self._shapes: dict[int, Shape] = {}
        self._layers: dict[int, LayerChannels] = {}
        self._unprunable: dict[str, Unprunable] = {}

    def follow(self, part: int, network: keras.Model, passed: np.ndarray | None) -> list[np.ndarray]:
        """The channels of a network's outputs; those of its first input are `passed`."""
        known: dict[int, np.ndarray] = {}
        for index, tensor in enumerate(network.inputs):
            inside = passed is not None and index == 0
            channels = passed if inside else self._outside(tensor)
            known[id(tensor)] = channels  # type: ignore[assignment]
        # Keras has no public way to the calls of layers; these nodes are what its own cloning walks over.
        for depth in sorted(network._nodes_by_depth, reverse=True):
            for node in network._nodes_by_depth[depth]:
                if not node.is_input:
                    self._call(part, node, known)
        return [known[id(tensor)] for tensor in network.outputs]

    def result(self) -> ChannelGraph:
        """What was found, with classes instead of channel numbers."""
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
        """At how many places a layer is computed, in an image of `side` where sizes are not fixed."""
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
        """Remembers a layer; calls of one layer must keep the same channels if it depends on them."""
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
            hint = (
                f"did you mean {near[0]}? (--dry_run lists them)" if near else f"layers: {', '.join(names)}"
            )
            problems.append(f"--excluded_layers {name}: the model has no such layer; {hint}")
    if problems:
        raise UsageError("\n".join(problems))


def _maker(tensor: KerasTensor) -> str:
    return str(tensor._keras_history.operation.name)


def _last(tensor: KerasTensor) -> int:
    return tensor.shape[-1] or 0 if len(tensor.shape) > 1 else 0
