"""Pruning, from a model and settings to a narrower model: read `prune` from top to bottom."""

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
    """What a pruning would do: the channels, which of them stay, and that in numbers."""

    graph: ChannelGraph
    plan: Plan
    report: PruneReport


@dataclasses.dataclass(frozen=True)
class PruneResult:
    """The pruned model, its plan and its report."""

    model: FasterRCNN
    plan: Plan
    report: PruneReport


def prune(model: FasterRCNN, settings: PruneSettings) -> PruneResult:
    """A narrower detector with the filters that matter; the given one is left as it was.

    Body and head are one graph for it: RoI pooling keeps channels. Layer names, geometry and what is
    frozen stay; the result is not compiled.

    Raises:
        UsageError: The threshold keeps nothing, a target is out of reach, or there is no such excluded
            layer.
        ModelError: A weight is not finite.
    """
    outcome = plan_detector(model, settings)
    features, roi_head = rewrite([model.features, model.roi_head], outcome.graph, outcome.plan)
    pruned = FasterRCNN(features, roi_head, model.geometry, name=model.name)
    return PruneResult(pruned, outcome.plan, outcome.report)


def plan_detector(model: FasterRCNN, settings: PruneSettings) -> Outcome:
    """What `prune` would do, without doing it; raises what it raises."""
    networks, side = [model.features, model.roi_head], model.geometry.min_side
    return plan_networks(networks, settings, runs=[1, settings.rois], **({"side": side} if side else {}))


def plan_networks(
    networks: Sequence[keras.Model], settings: PruneSettings, runs: Sequence[int] = (), side: int = 256
) -> Outcome:
    """Plans the pruning of networks in a row, as `frcnn.pruning.graph.trace` takes them.

    Args:
        networks: Functional models.
        settings: What is asked for.
        runs: How often each is computed for an image; once if left out.
        side: What a side of an image counts as where it is not fixed, px.

    Raises:
        UsageError: As `prune`.
        ModelError: As `prune`.
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
