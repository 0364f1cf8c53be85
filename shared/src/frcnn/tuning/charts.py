"""Geometry of the charts of a search's report, in units of their view boxes."""

import dataclasses
import math
from collections.abc import Sequence

from frcnn.tuning.results import TuneTrial
from frcnn.tuning.space import Searched

# Width and height of a chart's plane.
WIDTH, HEIGHT = 640, 260
# Axes of the parallel coordinates; more could not be distinguished.
MAX_AXES = 9


@dataclasses.dataclass(frozen=True)
class Scale:
    """Scale from values to places between 0 and 1.

    Attributes:
        low: Value at 0.
        high: Value at 1.
        log: Whether equal distances are equal ratios.
    """

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, values: Sequence[float]) -> "Scale":
        """Returns a scale with a margin around values; from 0 to 1 without any."""
        if not values:
            return cls(0.0, 1.0)
        low, high = min(values), max(values)
        margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
        return cls(low - margin, high + margin)

    def place(self, value: float) -> float:
        """Returns the place of a value; 0.5 if the scale has no extent."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        if high == low:
            return 0.5
        return ((math.log(value) if self.log else value) - low) / (high - low)

    def ticks(self, count: int = 5) -> list[tuple[float, str]]:
        """Returns round values within the scale.

        Args:
            count: Approximate number of values.

        Returns:
            Tuples of place and text.
        """
        step = _round_step((self.high - self.low) / count)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        digits = max(0, -math.floor(math.log10(step)))
        return [(self.place(at * step), f"{at * step:.{digits}f}") for at in range(first, last + 1)]


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


@dataclasses.dataclass(frozen=True)
class Dot:
    """Trial as a point: place in the view box, state and text."""

    x: float
    y: float
    trial: TuneTrial


@dataclasses.dataclass(frozen=True)
class Plot:
    """Chart with two axes.

    Attributes:
        x_ticks: Places along the plane's width, and texts.
        y_ticks: Places along the plane's height, from the top, and texts.
        dots: Points.
        lines: SVG paths, each with the number of its trial; -1 for none.
    """

    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    dots: list[Dot]
    lines: list[tuple[int, str]]


def history(trials: Sequence[TuneTrial]) -> Plot:
    """Draws the mAP of each trial, and the best mAP so far as a line."""
    judged = [each for each in trials if each.mean_ap is not None]
    scale = Scale.around([each.mean_ap for each in judged if each.mean_ap is not None])
    across = Scale(-0.5, max((each.number for each in trials), default=0) + 0.5)
    dots = [_dot(across.place(each.number), scale.place(each.mean_ap or 0.0), each) for each in judged]
    points: list[tuple[float, float]] = []
    best = -math.inf
    for each in judged:
        if each.state == "complete" and each.values["mAP"] > best:
            if points:
                points.append((across.place(each.number) * WIDTH, points[-1][1]))
            best = each.values["mAP"]
            points.append((across.place(each.number) * WIDTH, (1 - scale.place(best)) * HEIGHT))
    if points:
        points.append((WIDTH, points[-1][1]))
    whole = [(place, text) for place, text in across.ticks(10) if "." not in text]
    return Plot(_across(whole), _down(scale.ticks()), dots, [(-1, path(points))] if points else [])


def curves(trials: Sequence[TuneTrial], epochs: int) -> Plot:
    """Draws the mAP over the epochs, a line for each trial."""
    drawn = [each for each in trials if each.curve]
    scale = Scale.around([value for each in drawn for _, value in each.curve])
    across = Scale(1.0, max(2.0, float(epochs)))
    lines, dots = [], []
    for each in drawn:
        places = [
            (across.place(epoch) * WIDTH, (1 - scale.place(value)) * HEIGHT) for epoch, value in each.curve
        ]
        lines.append((each.number, path(places)))
        dots.append(Dot(*places[-1], each))
    whole = [(place, text) for place, text in across.ticks(8) if "." not in text]
    return Plot(_across(whole), _down(scale.ticks()), dots, lines)


def costs(trials: Sequence[TuneTrial], front: Sequence[TuneTrial], objective: str) -> Plot:
    """Draws the mAP over the cost of a model, and the Pareto front as a line."""
    complete = [each for each in trials if each.state == "complete"]
    scale = Scale.around([each.values["mAP"] for each in complete])
    across = Scale.around([each.values[objective] for each in complete])
    dots = [
        _dot(across.place(each.values[objective]), scale.place(each.values["mAP"]), each) for each in complete
    ]
    places = {each.trial.number: (each.x, each.y) for each in dots}
    points = sorted(places[each.number] for each in front)
    return Plot(_across(across.ticks()), _down(scale.ticks()), dots, [(-1, path(points))] if points else [])


@dataclasses.dataclass(frozen=True)
class Coordinate:
    """Axis of the parallel coordinates.

    Attributes:
        title: Name.
        x: Place in the view box.
        ticks: Places from the top, and texts.
    """

    title: str
    x: float
    ticks: list[tuple[float, str]]


def parallel(
    trials: Sequence[TuneTrial], fields: Sequence[Searched]
) -> tuple[list[Coordinate], list[tuple[int, str]]]:
    """Draws each judged trial as a line across the searched fields to its mAP.

    Args:
        trials: Trials.
        fields: Fields to show, the most important ones first.

    Returns:
        Axes, and SVG paths with the numbers of their trials.
    """
    shown = [each for each in trials if each.mean_ap is not None and each.chosen]
    kept = list(fields[: MAX_AXES - 1])
    apart = WIDTH / max(1, len(kept))
    scale = Scale.around([each.mean_ap or 0.0 for each in shown])
    axes = [Coordinate(short(each.field), at * apart, _ticks_of(each)) for at, each in enumerate(kept)]
    axes.append(Coordinate("mAP", len(kept) * apart, _down(scale.ticks())))
    lines = []
    for trial in shown:
        heights = [_place_of(each, trial) for each in kept] + [scale.place(trial.mean_ap or 0.0)]
        points = [(axis.x, (1 - each) * HEIGHT) for axis, each in zip(axes, heights, strict=True)]
        lines.append((trial.number, path(points)))
    return axes, lines


def short(field: str) -> str:
    """Returns the last part of a field's path."""
    return field.rpartition(".")[2]


def path(points: Sequence[tuple[float, float]]) -> str:
    """Returns an SVG path through points."""
    return f"M{' L'.join(f'{x:.1f},{y:.1f}' for x, y in points)}"


def _dot(x: float, y: float, trial: TuneTrial) -> Dot:
    return Dot(round(x * WIDTH, 1), round((1 - y) * HEIGHT, 1), trial)


def _across(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    return [(round(place * WIDTH, 1), text) for place, text in ticks]


def _down(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    return [(round((1 - place) * HEIGHT, 1), text) for place, text in ticks]


def _place_of(field: Searched, trial: TuneTrial) -> float:
    chosen = trial.chosen.get(field.field)
    if isinstance(chosen, str):
        return (field.values.index(chosen) + 0.5) / len(field.values) if chosen in field.values else 0.5
    return 0.5 if chosen is None else Scale(field.low, field.high, field.log).place(chosen)


def _ticks_of(field: Searched) -> list[tuple[float, str]]:
    if field.values:
        count = len(field.values)
        return _down([((at + 0.5) / count, text) for at, text in enumerate(field.values)])
    mark = "\N{MULTIPLICATION SIGN}" if field.base else ""
    return _down([(0.0, f"{mark}{field.low:g}"), (1.0, f"{mark}{field.high:g}")])
