"""Spec of a trial: the spec of the search with the chosen values."""

from collections.abc import Mapping, Sequence

from frcnn.spec.assignments import assignment
from frcnn.tuning.settings import TuneSettings
from frcnn.tuning.space import Chosen, Space
from frcnn.tuning.space_file import parse_space
from frcnn.tuning.tuned_spec import TunedSpec

# A trial is validated after each epoch, can resume after a kill, and starts from no earlier run.
_OF_A_TRIAL = (
    assignment("training_config.checkpoint_interval", 1),
    assignment("training_config.keep_checkpoints", 1),
    "training_config.save_best=true",
    assignment("training_config.resume_from_model", ""),
    assignment("evaluation_config.validation_period_during_training", 1),
)


def remote_trial_spec(spec: TunedSpec, space: str, choices: Sequence[str]) -> TunedSpec:
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
    return spec.with_settings([*known.settings(known.choices(choices)), *_OF_A_TRIAL])


def best_spec(spec: TunedSpec, space: Space, choices: Sequence[str]) -> TunedSpec:
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
    return spec.with_settings(space.settings(space.choices(choices)))


def trial_spec(settings: TuneSettings, chosen: Mapping[str, Chosen]) -> TunedSpec:
    """Returns the spec that a trial trains: the chosen one, validated and saved after each epoch.

    Args:
        settings: Settings of the search.
        chosen: Choices by field.

    Returns:
        The checked spec.

    Raises:
        SpecError: The values contradict each other.
    """
    return settings.spec.with_settings([*settings.space.settings(chosen), *_OF_A_TRIAL])
