"""Which channels stay: groups of them, their scores, and the rule that counts."""

import dataclasses
from collections import defaultdict

import numpy as np

from frcnn.errors import UsageError
from frcnn.pruning.graph import ChannelGraph, LayerChannels
from frcnn.pruning.importance import filter_scores, merge_scores
from frcnn.pruning.settings import PruneSettings


@dataclasses.dataclass(frozen=True)
class Group:
    """Channels that are weighed against each other, of one layer or of several that are tied together.

    Elementwise layers, depthwise convolutions and shared weights tie layers together. Where
    layers are tied in parts only, as by adding a concatenation, each part is a group.

    Attributes:
        layers: Their names.
        channels: Classes, ascending, [n].
        scores: Merged over the layers, [n].
    """

    layers: tuple[str, ...]
    channels: np.ndarray
    scores: np.ndarray


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which classes of channels stay, bool [classes], at which threshold."""

    keep: np.ndarray
    threshold: float

    def places(self, channels: np.ndarray) -> np.ndarray:
        """Which places along an axis with these channels stay: ascending indices."""
        return np.flatnonzero(self.keep[channels])

    def count(self, channels: np.ndarray) -> int:
        """How many of these channels stay."""
        return int(np.count_nonzero(self.keep[channels]))


def keep_count(total: int, above: int, granularity: int, least: int) -> int:
    """How many of `total` filters stay when `above` have scores above the threshold.

    At least `least` (all, if there are no more), rounded up to a multiple of `granularity`, never
    more than there are. Source: tao-facts section 8, rule 2.
    """
    kept = max(min(least, total), above)
    return min(-(-kept // granularity) * granularity, total)


def make_groups(graph: ChannelGraph, settings: PruneSettings) -> tuple[Group, ...]:
    """The groups that can be pruned.

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
    """What stays at a threshold: in each group the channels of highest score, the earlier first if equal."""
    keep = np.ones(graph.count, bool)
    for group in groups:
        above = int(np.count_nonzero(group.scores > threshold))
        total = len(group.channels)
        kept = keep_count(total, above, settings.pruning_granularity, settings.min_num_filters)
        order = np.argsort(-group.scores, kind="stable")
        keep[group.channels[order[kept:]]] = False
    return Plan(keep, threshold)


def check_threshold(groups: tuple[Group, ...], threshold: float) -> None:
    """Raises UsageError if no filter at all is above the threshold."""
    largest = max((float(group.scores.max()) for group in groups), default=np.inf)
    if threshold >= largest:
        raise UsageError(
            f"--pruning_threshold {threshold:g}: no filter of any layer is above it, so it would not tell "
            f"them apart; expected a number from 0 to below {largest:g}, the highest score"
        )


def _scores(makers: list[LayerChannels], count: int, settings: PruneSettings) -> np.ndarray:
    """The merged score of each class, [count]; NaN for those that no filter makes."""
    if not makers:
        return np.full(count, np.nan)
    scores = [
        filter_scores(
            np.asarray(each.layer.kernel.value),
            each.outputs.size,
            settings.normalizer,
            each.layer.name,
        )
        for each in makers
    ]
    owners = np.concatenate([each.outputs for each in makers])
    return merge_scores(np.concatenate(scores), owners, count, settings.equalization_criterion)
