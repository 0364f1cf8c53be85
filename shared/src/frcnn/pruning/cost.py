"""Computes parameters and operations of a pruned layer before it is built.

Operations are those of convolutions and dense layers; a multiply-add counts as two. Normalization,
activations, additions and box arithmetic, a few percent of the total, are not counted.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

from frcnn.pruning.graph import LayerChannels
from frcnn.pruning.plan import Plan
from frcnn.pruning.rules import Axis


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of one or more layers.

    Attributes:
        params: Number of parameters.
        flops: Number of operations per image.
    """

    params: int
    flops: int

    def __add__(self, other: "Cost") -> "Cost":
        """Returns the sum of two costs."""
        return Cost(self.params + other.params, self.flops + other.flops)


def weight_axes(entry: LayerChannels, name: str, rank: int) -> list[np.ndarray | None]:
    """Returns the channels that each axis of a weight follows.

    Args:
        entry: Layer that owns the weight.
        name: Name of the weight.
        rank: Number of axes of the weight.

    Returns:
        One item per axis: channel classes `[n]`, or `None` if the axis has no channels.
    """
    followed: dict[Axis, np.ndarray | None] = {"in": entry.inputs, "out": entry.outputs, "whole": None}
    axes = entry.rule.axes.get(name, ()) if entry.rule else ()
    return [None] * (rank - len(axes)) + [followed[axis] for axis in axes]


def layer_cost(entry: LayerChannels, plan: Plan | None, runs: Sequence[int]) -> Cost:
    """Computes the cost of a layer.

    Args:
        entry: Layer.
        plan: Channels to keep. `None` gives the present cost.
        runs: Number of evaluations per image of each network: 1, or the number of RoIs.

    Returns:
        Cost of the layer.
    """
    params, flops = 0, 0
    for weight in entry.layer.weights:
        axes = weight_axes(entry, weight.name, len(weight.shape))
        size = math.prod(
            side if plan is None or channels is None else plan.count(channels)
            for side, channels in zip(weight.shape, axes, strict=True)
        )
        params += size
        if weight.name == "kernel":
            flops += 2 * size * entry.places * runs[entry.part]
    return Cost(params, flops)


def total_cost(layers: Iterable[LayerChannels], plan: Plan | None, runs: Sequence[int]) -> Cost:
    """Computes the cost of all layers together.

    Args:
        layers: Layers to sum up.
        plan: Channels to keep. `None` gives the present cost.
        runs: Number of evaluations per image of each network: 1, or the number of RoIs.

    Returns:
        Total cost.
    """
    return sum((layer_cost(each, plan, runs) for each in layers), Cost(0, 0))
