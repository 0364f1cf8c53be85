"""The spec of a trial: the spec of the search with the chosen values."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from frcnn.spec.assignments import assignment
from frcnn.spec.load import parse_experiment
from frcnn.tuning.settings import TuneSettings
from frcnn.tuning.space import Chosen

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

# A trial is judged after each epoch, can go on after a kill, and starts from no earlier run.
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
        SpecError: The values do not go together.
    """
    return _with(settings, settings.space.settings(chosen))


def trial_spec(settings: TuneSettings, chosen: Mapping[str, Chosen]) -> "Experiment":
    """Returns the spec that a trial trains: the chosen one, validated and saved after each epoch.

    Args:
        settings: Settings of the search.
        chosen: Choices by field.

    Returns:
        The checked spec.

    Raises:
        SpecError: The values do not go together.
    """
    return _with(settings, [*settings.space.settings(chosen), *_OF_A_TRIAL])


def _with(settings: TuneSettings, changes: list[str]) -> "Experiment":
    text = settings.spec.to_text(secrets=True)
    return parse_experiment(text, settings.spec.source, remarks=False, settings=changes).spec
