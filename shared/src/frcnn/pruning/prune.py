"""Prunes a model with given settings. Read `prune` from top to bottom."""

import dataclasses
from collections.abc import Sequence

import keras

from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.pruning.graph import ChannelGraph, trace
from frcnn.pruning.plan import Plan, check_threshold, make_groups, make_plan
from frcnn.pruning.report import PruneReport, make_report
from frcnn.pruning.rewrite import rewrite
from frcnn.pruning.search import find_threshold
from frcnn.pruning.settings import PruneSettings


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Planned pruning: the channel graph, the channels to keep and the report."""

    graph: ChannelGraph
    plan: Plan
    report: PruneReport


@dataclasses.dataclass(frozen=True)
class PruneResult:
    """Pruned model with its plan and report."""

    model: FasterRCNN
    plan: Plan
    report: PruneReport


def prune(model: FasterRCNN, settings: PruneSettings) -> PruneResult:
    """Returns a narrower detector with the most important filters. The given model is not changed.

    Backbone and head are treated as one graph, since RoI pooling preserves channels. Layer names,
    geometry and frozen layers stay; the result is not compiled.

    Args:
        model: Detector to prune.
        settings: Pruning settings.

    Returns:
        The pruned model with plan and report.

    Raises:
        UsageError: The threshold keeps nothing, a target is out of reach, or an excluded layer does
            not exist.
        ModelError: A weight is not finite.
    """
    outcome = plan_detector(model, settings)
    features, roi_head = rewrite([model.features, model.roi_head], outcome.graph, outcome.plan)
    pruned = FasterRCNN(features, roi_head, model.geometry, name=model.name)
    return PruneResult(pruned, outcome.plan, outcome.report)


def plan_detector(model: FasterRCNN, settings: PruneSettings) -> Outcome:
    """Plans the pruning of a detector without doing it. Arguments and errors are those of `prune`."""
    networks, side = [model.features, model.roi_head], model.geometry.min_side
    return plan_networks(networks, settings, runs=[1, settings.rois], **({"side": side} if side else {}))


def plan_networks(
    networks: Sequence[keras.Model], settings: PruneSettings, runs: Sequence[int] = (), side: int = 256
) -> Outcome:
    """Plans the pruning of consecutive networks; see `frcnn.pruning.graph.trace`.

    Args:
        networks: Functional models.
        settings: Pruning settings.
        runs: Number of evaluations per image of each network; 1 each if empty.
        side: Height and width assumed for images of free size, px.

    Returns:
        Graph, plan and report.

    Raises:
        UsageError: See `prune`.
        ModelError: See `prune`.
    """
    runs = runs or [1] * len(networks)
    graph = trace(networks, settings.excluded_layers, side)
    groups = make_groups(graph, settings)
    if settings.has_target:
        threshold = find_threshold(graph, groups, settings, runs)
    else:
        threshold = settings.pruning_threshold
        check_threshold(groups, threshold)
    plan = make_plan(graph, groups, settings, threshold)
    return Outcome(graph, plan, make_report(graph, plan, settings, runs))
