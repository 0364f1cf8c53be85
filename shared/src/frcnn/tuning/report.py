"""Writes the report of a search as one self-contained HTML file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from frcnn.drawing.colors import class_color
from frcnn.drawing.page import save_page
from frcnn.tuning import charts
from frcnn.tuning.results import BEST_SPEC, TABLE, TuneTrial, best_of, front_of
from frcnn.tuning.settings import TITLES, TuneSettings
from frcnn.tuning.space import Searched

REPORT = "tune.html"
TEMPLATE = "tune.html.jinja"
# Number of trials whose curves and lines have distinct colors.
_COLORED = 5


def write_report(
    trials: Sequence[TuneTrial], importances: Mapping[str, float], settings: TuneSettings
) -> Path:
    """Writes the report.

    Args:
        trials: All trials of the study.
        importances: Share of the variation in mAP that each field accounts for; empty if unknown.
        settings: Settings of the search.

    Returns:
        The file.
    """
    file = settings.folder / REPORT
    save_page(file, "frcnn.tuning", TEMPLATE, _content(trials, importances, settings))
    return file


def _content(
    trials: Sequence[TuneTrial], importances: Mapping[str, float], settings: TuneSettings
) -> dict[str, Any]:
    best = best_of(trials)
    front = front_of(trials, settings.objectives)
    judged = sorted(
        (each for each in trials if each.mean_ap is not None),
        key=lambda each: (each.state != "complete", -(each.mean_ap or 0.0)),
    )
    colors = {
        each.number: "rgb({},{},{})".format(*class_color(at)) for at, each in enumerate(judged[:_COLORED])
    }
    fields = sorted(settings.space.fields, key=lambda each: -importances.get(each.field, 0.0))
    cost = settings.objectives[1] if len(settings.objectives) > 1 else ""
    return {
        "source": settings.spec.source or "a spec built in Python",
        "best": best,
        "base": next((each for each in trials if each.number == 0 and each.state == "complete"), None),
        "counts": {
            state: sum(each.state == state for each in trials)
            for state in ("complete", "pruned", "failed", "running")
        },
        "trials": trials,
        "fields": settings.space.fields,
        "chosen": [(each, _shown(each, best)) for each in settings.space.fields] if best else [],
        "objectives": [(name, TITLES[name]) for name in settings.objectives],
        "front": {each.number for each in front} if cost else set(),
        "history": charts.history(trials),
        "curves": charts.curves(trials, settings.epochs),
        "costs": charts.costs(trials, front, cost) if cost else None,
        "cost_title": TITLES[settings.objectives[1]] if cost else "",
        "parallel": charts.parallel(trials, fields),
        "more_axes": max(0, len(fields) - charts.MAX_AXES + 1),
        "importances": [(charts.short(name), name, value) for name, value in importances.items()],
        "colors": colors,
        "legend": judged[:_COLORED],
        "plane": (charts.WIDTH, charts.HEIGHT),
        "pruner": settings.pruner if not cost else "none",
        "epochs": settings.epochs,
        "table": TABLE,
        "best_spec": BEST_SPEC,
    }


def _shown(field: Searched, trial: TuneTrial) -> str:
    """Returns the value of a field in the spec of a trial."""
    if field.field not in trial.chosen:
        return ""
    return field.setting(trial.chosen[field.field]).partition("=")[2].strip('[]"')
