"""Reports the effect of a pruning, as a table and as JSON."""

import dataclasses
import json
from collections.abc import Sequence

from frcnn.pruning.channels import KeepReason
from frcnn.pruning.cost import Cost, layer_cost, total_cost
from frcnn.pruning.graph import ChannelGraph, LayerChannels, Unprunable
from frcnn.pruning.plan import Plan
from frcnn.pruning.settings import PruneSettings


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """Report line of one layer with weights.

    Attributes:
        name: Layer name.
        kind: Layer class.
        kept: Number of filters or channels kept.
        total: Number of filters or channels before.
        before: Cost before.
        after: Cost after.
        has_filters: Whether the layer has filters that pruning can remove.
        note: Reason why a layer with filters is not pruned; empty otherwise.
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
    """Figures of a pruning. Operations are for one image with `settings.rois` RoIs."""

    rows: tuple[LayerRow, ...]
    before: Cost
    after: Cost
    threshold: float
    settings: PruneSettings
    unprunable: tuple[Unprunable, ...]

    @property
    def pruning_ratio(self) -> float:
        """Fraction of the parameters that is left."""
        return self.after.params / max(self.before.params, 1)

    @property
    def flops_ratio(self) -> float:
        """Fraction of the operations that is left."""
        return self.after.flops / max(self.before.flops, 1)

    def to_dict(self) -> dict[str, object]:
        """Returns the content of `pruning.json`."""
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
        """Returns `to_dict` as indented JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def table(self) -> str:
        """Formats one line per layer with filters, one for all other layers, and the totals."""
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
    """Creates the report of a plan. Its figures are exact, not measured.

    Args:
        graph: Traced networks.
        plan: Channels to keep.
        settings: Pruning settings.
        runs: Number of evaluations per image of each network.

    Returns:
        The report.
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


def _note(pin: KeepReason | None, layer: str) -> str:
    return "" if pin is None else pin.seen_from(layer)


def _cells(name: str, filters: str, before: Cost, after: Cost, note: str) -> tuple[str, str, str, str, str]:
    params = f"{before.params:,} -> {after.params:,}"
    return name, filters, params, f"{before.flops / 1e6:,.1f} -> {after.flops / 1e6:,.1f}", note


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = [cell.rjust(width) for cell, width in zip(cells[1:4], widths[1:], strict=True)]
    return "  ".join([cells[0].ljust(widths[0]), *numbers, cells[4]]).rstrip()
