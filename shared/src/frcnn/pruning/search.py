"""Finds the threshold that leaves a given fraction of the parameters or operations."""

import math
from collections.abc import Sequence

import numpy as np

from frcnn.errors import UsageError
from frcnn.pruning.cost import Cost, total_cost
from frcnn.pruning.graph import ChannelGraph
from frcnn.pruning.plan import Group, make_plan
from frcnn.pruning.settings import PruneSettings


def find_threshold(
    graph: ChannelGraph, groups: tuple[Group, ...], settings: PruneSettings, runs: Sequence[int]
) -> float:
    """Finds the smallest threshold that meets all targets, rounded to few digits.

    The remaining cost decreases with the threshold and changes only at scores, so bisection finds it.

    Args:
        graph: Traced networks.
        groups: Groups from `frcnn.pruning.plan.make_groups`.
        settings: Pruning settings with at least one target.
        runs: Number of evaluations per image of each network.

    Returns:
        Score threshold.

    Raises:
        UsageError: A target is out of reach. The message gives the minimum.
    """
    before = total_cost(graph.layers, None, runs)

    def cost(threshold: float) -> Cost:
        return total_cost(graph.layers, make_plan(graph, groups, settings, threshold), runs)

    # Thresholds at or above the highest score would keep no filter.
    steps = np.unique(np.concatenate([[0.0], *(group.scores for group in groups)]))
    steps = steps[:-1] if len(steps) > 1 else steps
    _check_reach(cost(float(steps[-1])), before, settings)
    low, high = 0, len(steps) - 1
    while low < high:
        middle = (low + high) // 2
        if _misses(cost(float(steps[middle])), before, settings):
            low = middle + 1
        else:
            high = middle
    above = float(steps[low + 1]) if low + 1 < len(steps) else _highest(groups)
    return _shortest(float(steps[low]), above)


def _misses(cost: Cost, before: Cost, settings: PruneSettings) -> list[tuple[str, float, float]]:
    """Returns the missed targets: argument, target fraction, remaining fraction."""
    shares = (
        ("target_params", settings.target_params, cost.params / max(before.params, 1)),
        ("target_flops", settings.target_flops, cost.flops / max(before.flops, 1)),
    )
    return [(flag, wanted, left) for flag, wanted, left in shares if wanted is not None and left > wanted]


def _check_reach(least: Cost, before: Cost, settings: PruneSettings) -> None:
    missed = _misses(least, before, settings)
    if missed:
        lines = [
            f"{flag} {wanted:g}: the smallest reachable fraction is {left:.4f}, "
            f"with at least {settings.min_num_filters} filters per layer (-nf) "
            f"in steps of {settings.pruning_granularity} (-pg) and "
            f"{len(settings.excluded_layers)} layers excluded (-el)"
            for flag, wanted, left in missed
        ]
        raise UsageError("\n".join(lines), argument=missed[0][0])


def _highest(groups: tuple[Group, ...]) -> float:
    return max((float(group.scores.max()) for group in groups), default=math.inf)


def _shortest(low: float, high: float) -> float:
    """Returns the number with the fewest digits in [low, high). All numbers there give the same plan."""
    for digits in range(1, 17):
        step = 10.0 ** (math.floor(math.log10(low)) + 1 - digits) if low > 0 else 1.0
        rounded = float(f"{math.ceil(low / step) * step:.{digits}g}")
        if low <= rounded < high:
            return rounded
    return low
