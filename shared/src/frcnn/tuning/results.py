"""Results of a search: its trials as a table, the best spec and the best model."""

import csv
import dataclasses
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from optuna.trial import FrozenTrial, TrialState

from frcnn.console.foreign_text import printable, printable_lines
from frcnn.files import atomic_path, write_text
from frcnn.tuning.settings import DIRECTIONS, Objective, TuneSettings
from frcnn.tuning.space import Chosen
from frcnn.tuning.study import MESSAGE, MODEL, Study, values_by_objective
from frcnn.tuning.trial_runner import trial_folder

TABLE, BEST_SPEC, BEST_MODEL = "trials.csv", "best_spec.txt", "best_model"

# First characters of cells that spreadsheets take as formulas.
_FORMULA = ("=", "+", "-", "@", "\t")

State = Literal["complete", "pruned", "failed", "running"]
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


@dataclasses.dataclass(frozen=True)
class TuneTrial:
    """One training of a search.

    Attributes:
        number: Number of the trial, from 0. Trial 0 is the spec itself, as far as the space contains it.
        state: `complete`: trained for all epochs; `pruned`: stopped early, because others were better;
            `failed`; `running`: interrupted; the next run of the search resumes it.
        chosen: Chosen value by field: a number, a factor, or a text as for `--set`.
        mean_ap: Highest mAP on the validation set, 0 to 1; `None` before the first validation.
        values: Value of each objective: `mAP`; `flops`, G per image; `latency`, ms per image. Empty unless
            the trial is complete.
        curve: mAP after each validated epoch, as pairs of epoch and mAP.
        seconds: Time from start to end, s, including interruptions; `None` while it runs.
        folder: Folder of the training.
        model: Best checkpoint; `None` unless the trial is complete.
        message: Reason for the failure; empty without one.
    """

    number: int
    state: State
    chosen: Mapping[str, Chosen]
    mean_ap: float | None
    values: Mapping[str, float]
    curve: tuple[tuple[int, float], ...]
    seconds: float | None
    folder: Path
    model: Path | None
    message: str


def trials_of(study: Study, settings: TuneSettings) -> list[TuneTrial]:
    """Returns the trials of a study.

    Args:
        study: The study.
        settings: Settings of the search.

    Returns:
        Trials by number.
    """
    return [_trial(each, settings) for each in study.trials()]


def _trial(trial: FrozenTrial, settings: TuneSettings) -> TuneTrial:
    values = values_by_objective(trial, settings.objectives)
    curve = tuple(sorted(trial.intermediate_values.items()))
    model = trial.user_attrs.get(MODEL)
    return TuneTrial(
        number=trial.number,
        state=_STATES[trial.state],
        chosen=dict(trial.params),
        mean_ap=values.get("mAP", max((value for _, value in curve), default=None)),
        values={str(name): value for name, value in values.items()},
        curve=curve,
        seconds=trial.duration.total_seconds() if trial.duration is not None else None,
        folder=trial_folder(settings.folder, trial.number),
        model=settings.folder / model if model else None,
        message=str(trial.user_attrs.get(MESSAGE, "")),
    )


def best_of(trials: Sequence[TuneTrial]) -> TuneTrial | None:
    """Returns the complete trial with the highest mAP, the first one in a tie; `None` if none is complete."""
    complete = [each for each in trials if each.state == "complete"]
    return max(complete, key=lambda each: (each.values["mAP"], -each.number), default=None)


def front_of(trials: Sequence[TuneTrial], objectives: tuple[Objective, ...]) -> list[TuneTrial]:
    """Returns the Pareto front: the complete trials that no other trial beats in all objectives.

    Args:
        trials: Trials.
        objectives: Objectives of the search.

    Returns:
        Trials, highest mAP first, including ties.
    """
    complete = [each for each in trials if each.state == "complete"]
    front = [each for each in complete if not any(_beats(other, each, objectives) for other in complete)]
    return sorted(front, key=lambda each: -each.values["mAP"])


def _beats(one: TuneTrial, other: TuneTrial, objectives: tuple[Objective, ...]) -> bool:
    signs = [1.0 if DIRECTIONS[each] == "maximize" else -1.0 for each in objectives]
    pairs = [
        (sign * one.values[name], sign * other.values[name])
        for sign, name in zip(signs, objectives, strict=True)
    ]
    return all(mine >= theirs for mine, theirs in pairs) and any(mine > theirs for mine, theirs in pairs)


def write_table(trials: Sequence[TuneTrial], settings: TuneSettings) -> Path:
    """Writes the trials as CSV, one line per trial.

    Args:
        trials: Trials.
        settings: Settings of the search.

    Returns:
        The file.
    """
    fields = [each.field for each in settings.space.fields]
    front = {each.number for each in front_of(trials, settings.objectives)}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        [
            "trial",
            "state",
            *settings.objectives,
            "highest_mAP",
            "epochs",
            "on_front",
            "seconds",
            *fields,
            "message",
        ]
    )
    for each in trials:
        values = [each.values.get(name, "") for name in settings.objectives]
        highest = "" if each.mean_ap is None else each.mean_ap
        epochs = each.curve[-1][0] if each.curve else 0
        on_front = str(each.number in front).lower()
        seconds = "" if each.seconds is None else round(each.seconds, 1)
        chosen = [each.chosen.get(field, "") for field in fields]
        row = [each.number, each.state, *values, highest, epochs, on_front, seconds, *chosen, each.message]
        table.writerow([_cell(value) for value in row])
    path = settings.folder / TABLE
    write_text(path, text.getvalue())
    return path


def _cell(value: object) -> object:
    """Returns a value for a cell; a text that a spreadsheet would compute gets a `'` before it."""
    if not isinstance(value, str):
        return value
    text = printable_lines(value)  # a single carriage return would end the line
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_best(best: TuneTrial, settings: TuneSettings) -> tuple[Path, Path]:
    """Writes the best spec as text and copies the best model next to it.

    The spec has the chosen values, and the epochs, checkpoints and validations of the spec that the search
    started from. Keys are left out.

    Args:
        best: Complete trial.
        settings: Settings of the search.

    Returns:
        Files of the spec and the model.

    Raises:
        RunError: The disk is full.
    """
    if best.model is None:
        raise ValueError(f"trial {best.number} has no model")
    model = settings.folder / f"{BEST_MODEL}{best.model.suffix}"
    spec = settings.folder / BEST_SPEC
    with atomic_path(model) as temporary:
        shutil.copyfile(best.model, temporary)
    changes = "".join(f"#   {printable(each)}\n" for each in settings.space.settings(best.chosen))
    head = (
        f"# Best of a search with frcnn tune: trial {best.number}, validation mAP {best.values['mAP']:.4f}.\n"
        f"# Chosen values:\n{changes}"
    )
    write_text(spec, head + settings.spec.with_settings(settings.space.settings(best.chosen)).to_text())
    return spec, model
