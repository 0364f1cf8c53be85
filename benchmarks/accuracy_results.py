"""Results of the accuracy benchmark: its runs and their figures, as a table and as a chart."""

import dataclasses
import statistics
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True)
class Run:
    """A training.

    Attributes:
        side: `ours`, `peer` (torchvision) or the name of a try.
        seed: Random seed.
        fields: Spec text that a try appends; else empty.
    """

    side: str
    seed: int
    fields: str = ""

    def path(self, folder: Path) -> Path:
        """Returns the path of the result.

        Args:
            folder: Folder of the data set's results.

        Returns:
            JSON file.
        """
        return folder / f"{self.side.replace(' ', '_')}-{self.seed}.json"


@dataclasses.dataclass(frozen=True)
class Result:
    """Metrics of one training. Each pair is the mAP at IoU 0.5 and the mean over 0.5:0.95.

    Attributes:
        run: Training.
        minutes: Training time up to the end of each epoch.
        val: mAP of the validation split after each epoch.
        test: mAP of the test split after the last epoch.
        coco: mAP of the test split by pycocotools, at every possible recall, as in the evaluator.
    """

    run: Run
    minutes: list[float]
    val: list[tuple[float, float]]
    test: tuple[float, float]
    coco: tuple[float, float]


def one_line(result: Result) -> str:
    """Formats the metrics of one training as a line.

    Args:
        result: Metrics.

    Returns:
        The line.
    """
    curve = " ".join(f"{first:.3f}" for first, _ in result.val)
    run = result.run
    return f"{run.side}, seed {run.seed}: val {curve}; test {result.test[0]:.3f} / {result.test[1]:.3f}"


def table(name: str, results: list[Result]) -> str:
    """Makes a Markdown table with one row per side.

    Args:
        name: Name of the data set.
        results: Metrics of all trainings.

    Returns:
        Table of means over the seeds ± half the range.
    """
    lines = [
        f"| {name} | seeds | val after epochs 1, 2, 4 | val | test | test 0.5:0.95 | pycocotools | minutes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for side in dict.fromkeys(result.run.side for result in results):
        own = [result for result in results if result.run.side == side]
        early = [_spread([each.val[e - 1][0] for each in own]) for e in (1, 2, 4) if e <= len(own[0].val)]
        cells = [
            ", ".join(early),
            _spread([each.val[-1][0] for each in own]),
            _spread([each.test[0] for each in own]),
            _spread([each.test[1] for each in own]),
            " / ".join(
                f"{statistics.mean(values):.3f}" for values in zip(*(r.coco for r in own), strict=True)
            ),
            f"{statistics.mean(each.minutes[-1] for each in own):.1f}",
        ]
        lines.append(f"| {side} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    """Formats the mean and half the range; a single value without range."""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{statistics.mean(values):.3f} ± {(max(values) - min(values)) / 2:.3f}"


def draw(name: str, results: list[Result], path: Path) -> None:
    """Plots mAP@0.5 of the validation split over epochs: one line per side, with the range of its seeds.

    Args:
        name: Name of the data set, the title.
        results: Metrics of all trainings.
        path: SVG file.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for side in dict.fromkeys(result.run.side for result in results):
        curves = np.asarray([[one for one, _ in r.val] for r in results if r.run.side == side])
        epochs = np.arange(1, curves.shape[1] + 1)
        (line,) = axes.plot(epochs, curves.mean(axis=0), marker=".", label=side)
        axes.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), alpha=0.15, color=line.get_color())
    axes.set(title=name, xlabel="epoch", ylabel="mAP@0.5, validation split", ylim=(0, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    # A fixed salt and no date make the file reproducible.
    with matplotlib.rc_context({"svg.hashsalt": path.name}):
        figure.savefig(path, metadata={"Date": None})
