"""What a pruning removes: a table for people, JSON for programs."""

import dataclasses
import json
from collections.abc import Sequence

from frcnn.pruning.channels import Pin
from frcnn.pruning.cost import Cost, layer_cost, total_cost
from frcnn.pruning.graph import ChannelGraph, LayerChannels, Unprunable
from frcnn.pruning.plan import Plan
from frcnn.pruning.settings import PruneSettings


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One layer with weights: filters (or channels) kept of how many, and its cost before and after.

    `note` says why a layer stays whole that could have lost filters; empty otherwise.
    """

    name: str
    kind: str
    kept: int
    total: int
    before: Cost
    after: Cost
    has_filters: bool
    note: str


@dataclasses.dataclass(frozen=True)
class PruneReport:
    """A pruning in numbers; operations are for one image with `settings.rois` RoIs."""

    rows: tuple[LayerRow, ...]
    before: Cost
    after: Cost
    threshold: float
    settings: PruneSettings
    unprunable: tuple[Unprunable, ...]

    @property
    def pruning_ratio(self) -> float:
        """Parameters left, as a share."""
        return self.after.params / max(self.before.params, 1)

    @property
    def flops_ratio(self) -> float:
        """Operations left, as a share."""
        return self.after.flops / max(self.before.flops, 1)

    def to_dict(self) -> dict[str, object]:
        """What `pruning.json` holds."""
        settings = dataclasses.asdict(self.settings) | {"pruning_threshold": self.threshold}
        return {
            "pruning_ratio": self.pruning_ratio,
            "flops_ratio": self.flops_ratio,
            "params": {"before": self.before.params, "after": self.after.params},
            "flops": {"before": self.before.flops, "after": self.after.flops},
            "settings": settings,
            "layers": [dataclasses.asdict(row) for row in self.rows],
            "unprunable": [dataclasses.asdict(each) for each in self.unprunable],
        }

    def to_json(self) -> str:
        """`to_dict` as indented JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def table(self) -> str:
        """One line a layer with filters, one for all others, and the totals."""
        shown = [row for row in self.rows if row.has_filters]
        others = [row for row in self.rows if not row.has_filters]
        cells = [("layer", "filters", "parameters", "MFLOPs", "")]
        cells += [
            _cells(row.name, f"{row.kept}/{row.total}", row.before, row.after, row.note) for row in shown
        ]
        if others:
            before, after = (
                sum((getattr(row, when) for row in others), Cost(0, 0)) for when in ("before", "after")
            )
            cells.append(_cells("all others", "", before, after, ""))
        cells.append(_cells("total", "", self.before, self.after, ""))
        widths = [max(len(line[column]) for line in cells) for column in range(4)]
        lines = [_line(each, widths) for each in cells]
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def make_report(graph: ChannelGraph, plan: Plan, settings: PruneSettings, runs: Sequence[int]) -> PruneReport:
    """The report of a plan; what it says of the pruned model is exact, not measured.

    Args:
        graph: The networks' channels.
        plan: Which of them stay.
        settings: What was asked for.
        runs: How often each network is computed for an image.
    """
    rows = tuple(_row(each, graph, plan, runs) for each in graph.layers if each.layer.weights)
    before, after = (total_cost(graph.layers, each, runs) for each in (None, plan))
    return PruneReport(rows, before, after, plan.threshold, settings, graph.unprunable)


def _row(entry: LayerChannels, graph: ChannelGraph, plan: Plan, runs: Sequence[int]) -> LayerRow:
    layer = entry.layer
    pin = next((graph.pins[each] for each in entry.outputs.tolist() if each in graph.pins), None)
    return LayerRow(
        name=layer.name,
        kind=type(layer).__name__,
        kept=plan.count(entry.outputs),
        total=entry.outputs.size,
        before=layer_cost(entry, None, runs),
        after=layer_cost(entry, plan, runs),
        has_filters=entry.has_filters,
        note=_note(pin, layer.name),
    )


def _note(pin: Pin | None, layer: str) -> str:
    return "" if pin is None else pin.seen_from(layer)


def _cells(name: str, filters: str, before: Cost, after: Cost, note: str) -> tuple[str, str, str, str, str]:
    params = f"{before.params:,} -> {after.params:,}"
    return name, filters, params, f"{before.flops / 1e6:,.1f} -> {after.flops / 1e6:,.1f}", note


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = [cell.rjust(width) for cell, width in zip(cells[1:4], widths[1:], strict=True)]
    return "  ".join([cells[0].ljust(widths[0]), *numbers, cells[4]]).rstrip()
