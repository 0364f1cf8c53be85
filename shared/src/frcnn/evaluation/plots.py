"""Plots precision over recall, one image per IoU threshold."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from frcnn.console.foreign_text import printable
from frcnn.drawing.colors import class_color, luminance
from frcnn.evaluation.plot_settings import default_settings
from frcnn.evaluation.report import ClassResult, IoUResult, Report
from frcnn.evaluation.settings import iou_label
from frcnn.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEGEND_ROWS = 24  # more classes than this need a second column
_MAX_CURVES = 4 * _LEGEND_ROWS  # more lines are hard to distinguish and make the image too wide
_LINE_STYLES = ("-", "--", "-.", ":")
_COLORS_PER_STYLE = 7  # the palette's distinct hues
_TOO_BRIGHT = 0.5  # luminance above which a color is hard to see on white


def save_curves(report: Report, folder: Path) -> list[Path]:
    """Writes a `PR_curve_iou0.50.png` for each IoU threshold.

    With a single threshold, it also writes a copy named `PR_curve.png`.

    Args:
        report: Metrics of an evaluation.
        folder: Folder to write to.

    Returns:
        Files written, in the order of the thresholds.
    """
    single = len(report.results) == 1
    written = []
    with default_settings():
        for result in report.results:
            figure = plot_curves(result, report.metric)
            names = [f"PR_curve_iou{iou_label(result.iou)}.png"] + ["PR_curve.png"] * single
            for path in [folder / name for name in names]:
                encoded = io.BytesIO()  # Pillow does not notice when a full disk truncates the file
                figure.savefig(encoded, format="png", dpi=120)
                with atomic_path(path) as temporary:
                    temporary.write_bytes(encoded.getvalue())
                written.append(path)
    return written


def plot_curves(result: IoUResult, metric: str) -> "Figure":
    """Plots the curves of all classes with objects; the legend gives their AP.

    Args:
        result: Results at one IoU threshold.
        metric: `VOC12` draws the envelope, whose area is the AP; `VOC07` the curve itself, as in TAO.

    Returns:
        Figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = [(index, each) for index, each in enumerate(result.classes) if each.curve is not None]
    shown = sorted(sorted(drawn, key=lambda pair: -pair[1].objects)[:_MAX_CURVES], key=lambda pair: pair[0])
    columns = max(1, math.ceil(len(shown) / _LEGEND_ROWS))
    figure = Figure(figsize=(7.5 + 2.2 * columns, 6.0), layout="constrained")
    FigureCanvasAgg(figure)  # needs no display and does not change pyplot's global state
    axes = figure.add_subplot()
    for index, each in shown:
        _draw(axes, index, each, metric)
    _style_axes(axes)
    mean = "-" if result.mean_ap is None else f"{result.mean_ap:.4f}"
    title = f"Precision and recall at IoU {iou_label(result.iou)}: mAP {mean} ({metric})"
    if len(shown) < len(drawn):
        title += f"\nthe {len(shown)} of {len(drawn)} classes with the most objects"
    axes.set_title(title)
    if shown:
        _add_legend(axes, [f"{printable(each.name)} ({each.ap:.4f})" for _, each in shown], columns)
    return figure


def _add_legend(axes: "Axes", names: Sequence[str], columns: int) -> None:
    """Adds a legend with the names of the lines, shown literally.

    matplotlib omits labels that begin with `_`, and parses text between two `$` as a formula.
    """
    legend = axes.legend(
        axes.lines,
        [str(number) for number in range(len(names))],
        title="class (AP)",
        loc="upper left",
        bbox_to_anchor=(1, 1),
        ncols=columns,
        frameon=False,
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


def _draw(axes: "Axes", index: int, result: ClassResult, metric: str) -> None:
    curve = result.curve
    if curve is None:
        return
    axes.plot(
        np.concatenate([[0.0], curve.recall, curve.recall[-1:]]),
        _heights(curve.envelope if metric == "VOC12" else curve.precision),
        drawstyle="steps-pre" if metric == "VOC12" else "default",
        linestyle=_LINE_STYLES[index // _COLORS_PER_STYLE % len(_LINE_STYLES)],
        color=_line_color(index),
        linewidth=1.8,
        clip_on=False,
    )


def _heights(precision: np.ndarray) -> np.ndarray:
    """Adds a point at recall 0 to the precision, and a drop to 0 after the last detection."""
    if not len(precision):
        return np.zeros(1)
    return np.concatenate([precision[:1], precision, [0.0]])


def _line_color(index: int) -> tuple[float, float, float]:
    color = class_color(index)
    strength = 0.7 if luminance(color) > _TOO_BRIGHT else 1.0
    red, green, blue = (part / 255.0 * strength for part in color)
    return red, green, blue


def _style_axes(axes: "Axes") -> None:
    axes.set(xlabel="recall", ylabel="precision", xlim=(0.0, 1.0), ylim=(0.0, 1.02))
    axes.set_xticks(np.linspace(0.0, 1.0, 11))
    axes.set_yticks(np.linspace(0.0, 1.0, 11))
    axes.grid(True, color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
