"""Parameters and operations of a pruned layer, worked out before there is one.

Operations are those of convolutions and dense layers, a multiply-add counting as two; what is left
out (normalisation, activations, additions, box arithmetic) is a few per cent.
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
    """`params` numbers to store, `flops` operations an image."""

    params: int
    flops: int

    def __add__(self, other: "Cost") -> "Cost":
        """Both together."""
        return Cost(self.params + other.params, self.flops + other.flops)


def weight_axes(entry: LayerChannels, name: str, rank: int) -> list[np.ndarray | None]:
    """For each axis of a weight the channels it follows; None where it follows none."""
    followed: dict[Axis, np.ndarray | None] = {"in": entry.inputs, "out": entry.outputs, "whole": None}
    axes = entry.rule.axes.get(name, ()) if entry.rule else ()
    return [None] * (rank - len(axes)) + [followed[axis] for axis in axes]


def layer_cost(entry: LayerChannels, plan: Plan | None, runs: Sequence[int]) -> Cost:
    """What a layer costs under a plan; without one, what it costs now.

    Args:
        entry: The layer.
        plan: Which channels stay.
        runs: How often each part is computed for an image: 1, or the number of RoIs.
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
    """What all layers cost together."""
    return sum((layer_cost(each, plan, runs) for each in layers), Cost(0, 0))
