"""Spec of a trial: the spec of the search with the chosen values."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from frcnn.spec.assignments import assignment
from frcnn.spec.load import parse_experiment
from frcnn.tuning.settings import TuneSettings
from frcnn.tuning.space import Chosen, Space
from frcnn.tuning.space_file import parse_space

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

# A trial is validated after each epoch, can resume after a kill, and starts from no earlier run.
_OF_A_TRIAL = (
    assignment("training_config.checkpoint_interval", 1),
    assignment("training_config.keep_checkpoints", 1),
    "training_config.save_best=true",
    assignment("training_config.resume_from_model", ""),
    assignment("evaluation_config.validation_period_during_training", 1),
)


def chosen_spec(settings: TuneSettings, chosen: Mapping[str, Chosen]) -> "Experiment":
    """Returns the spec with the chosen values, to train with.

    Args:
        settings: Settings of the search.
        chosen: Choices by field.

    Returns:
        The checked spec.

    Raises:
        SpecError: The values contradict each other.
    """
    return _with(settings, settings.space.settings(chosen))


def remote_trial_spec(spec: "Experiment", space: str, choices: Sequence[str]) -> "Experiment":
    """Returns the spec of a trial whose values another program chose, such as Katib.

    Args:
        spec: Spec that the search starts from.
        space: Text of the search space.
        choices: Texts `FIELD=CHOICE`.

    Returns:
        The checked spec, validated and saved after each epoch.

    Raises:
        SpecError: The space is invalid, or the values contradict each other.
        UsageError: A choice is not in the space.
    """
    known = parse_space(space, "the search space", spec)
    changes = [*known.settings(known.choices(choices)), *_OF_A_TRIAL]
    return _changed(spec, changes)


def best_spec(spec: "Experiment", space: Space, choices: Sequence[str]) -> "Experiment":
    """Returns the spec with values that another program found to be the best.

    Args:
        spec: Spec that the search started from.
        space: The search space.
        choices: Texts `FIELD=CHOICE`.

    Returns:
        The checked spec.

    Raises:
        SpecError: The values contradict each other.
        UsageError: A choice is not in the space.
    """
    return _changed(spec, space.settings(space.choices(choices)))


def trial_spec(settings: TuneSettings, chosen: Mapping[str, Chosen]) -> "Experiment":
    """Returns the spec that a trial trains: the chosen one, validated and saved after each epoch.

    Args:
        settings: Settings of the search.
        chosen: Choices by field.

    Returns:
        The checked spec.

    Raises:
        SpecError: The values contradict each other.
    """
    return _with(settings, [*settings.space.settings(chosen), *_OF_A_TRIAL])


def _with(settings: TuneSettings, changes: list[str]) -> "Experiment":
    return _changed(settings.spec, changes)


def _changed(spec: "Experiment", changes: list[str]) -> "Experiment":
    text = spec.to_text(secrets=True)
    return parse_experiment(text, spec.source, remarks=False, settings=changes).spec
