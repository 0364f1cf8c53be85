"""Decides which channels to keep: groups of channels, their scores and the selection rule."""

import dataclasses
from collections import defaultdict

import numpy as np

from frcnn.errors import UsageError
from frcnn.pruning.graph import ChannelGraph, LayerChannels
from frcnn.pruning.importance import filter_scores, merge_scores
from frcnn.pruning.settings import PruneSettings


@dataclasses.dataclass(frozen=True)
class Group:
    """Channels that are ranked against each other, of one layer or of several coupled layers.

    Elementwise layers, depthwise convolutions and shared weights couple layers. Where only parts of
    layers are coupled, for example by adding a concatenation, each part is a separate group.

    Attributes:
        layers: Names of the layers.
        channels: Channel classes, ascending, `[n]`.
        scores: Merged score of each class, float64 `[n]`.
    """

    layers: tuple[str, ...]
    channels: np.ndarray
    scores: np.ndarray


@dataclasses.dataclass(frozen=True)
class Plan:
    """Channels to keep.

    Attributes:
        keep: Whether each class is kept, bool `[classes]`.
        threshold: Score threshold of the plan.
    """

    keep: np.ndarray
    threshold: float

    def places(self, channels: np.ndarray) -> np.ndarray:
        """Returns the ascending indices of kept channels along an axis.

        Args:
            channels: Class of each channel of the axis, `[n]`.
        """
        return np.flatnonzero(self.keep[channels])

    def count(self, channels: np.ndarray) -> int:
        """Counts the kept channels.

        Args:
            channels: Class of each channel, `[n]`.
        """
        return int(np.count_nonzero(self.keep[channels]))


def keep_count(total: int, above: int, granularity: int, least: int) -> int:
    """Computes how many filters of a group to keep.

    Args:
        total: Number of filters.
        above: Number of filters with a score above the threshold.
        granularity: Keep a multiple of this many filters, rounded up.
        least: Minimum number to keep; all, if there are fewer.

    Returns:
        Number of filters to keep, at most `total`. The rule is that of TAO's `prune`.
    """
    kept = max(min(least, total), above)
    return min(-(-kept // granularity) * granularity, total)


def make_groups(graph: ChannelGraph, settings: PruneSettings) -> tuple[Group, ...]:
    """Collects the groups that can be pruned.

    Args:
        graph: Traced networks.
        settings: Pruning settings.

    Returns:
        Groups in order of first appearance.

    Raises:
        ModelError: A weight is not finite.
    """
    makers = [each for each in graph.layers if each.has_filters]
    members: dict[int, list[int]] = defaultdict(list)
    for index, each in enumerate(makers):
        for channel in np.unique(each.outputs).tolist():
            if channel not in graph.pins:
                members[channel].append(index)
    together: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for channel in sorted(members):
        together[tuple(members[channel])].append(channel)
    scores = _scores(makers, graph.count, settings)
    return tuple(
        Group(tuple(makers[index].layer.name for index in indices), np.array(channels), scores[channels])
        for indices, channels in together.items()
    )


def make_plan(
    graph: ChannelGraph, groups: tuple[Group, ...], settings: PruneSettings, threshold: float
) -> Plan:
    """Selects the channels to keep at a threshold.

    In each group, the channels with the highest scores are kept; ties go to the earlier channel.

    Args:
        graph: Traced networks.
        groups: Groups from `make_groups`.
        settings: Pruning settings.
        threshold: Score threshold.

    Returns:
        Plan for all channel classes.
    """
    keep = np.ones(graph.count, bool)
    for group in groups:
        above = int(np.count_nonzero(group.scores > threshold))
        total = len(group.channels)
        kept = keep_count(total, above, settings.pruning_granularity, settings.min_num_filters)
        order = np.argsort(-group.scores, kind="stable")
        keep[group.channels[order[kept:]]] = False
    return Plan(keep, threshold)


def check_threshold(groups: tuple[Group, ...], threshold: float) -> None:
    """Checks that at least one filter is above the threshold.

    Raises:
        UsageError: No filter is.
    """
    largest = max((float(group.scores.max()) for group in groups), default=np.inf)
    if threshold >= largest:
        raise UsageError(
            f"pruning_threshold {threshold:g}: no filter scores higher. "
            f"Expected 0 <= threshold < {largest:g}, the highest score.",
            argument="pruning_threshold",
        )


def _scores(makers: list[LayerChannels], count: int, settings: PruneSettings) -> np.ndarray:
    """Returns the merged score of each class, `[count]`; NaN for classes without filters."""
    if not makers:
        return np.full(count, np.nan)
    scores = [
        filter_scores(
            np.asarray(each.layer.kernel.value), each.outputs.size, settings.normalizer, each.layer.name
        )
        for each in makers
    ]
    owners = np.concatenate([each.outputs for each in makers])
    return merge_scores(np.concatenate(scores), owners, count, settings.equalization_criterion)
