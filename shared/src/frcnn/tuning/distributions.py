"""Distributions of the searched fields for Optuna, and the choices that give the spec itself."""

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from frcnn.tuning.settings import TuneSettings
from frcnn.tuning.space import Chosen, Searched


def base_choices(settings: TuneSettings) -> dict[str, Chosen]:
    """Returns the choices that give the spec itself, for each field whose space contains the spec's value.

    Args:
        settings: Settings of the search.

    Returns:
        Choices by field.
    """
    reference = settings.spec.with_settings([])
    found: dict[str, Chosen] = {}
    for each in settings.space.fields:
        candidates: tuple[Chosen, ...] = each.values
        if not each.values:
            candidates = (1.0,) if each.base else settings.spec.numbers(each.field)[:1]
        for chosen in candidates:
            same = settings.spec.with_settings([each.setting(chosen)]) == reference
            space = distribution(each)
            if same and space._contains(space.to_internal_repr(chosen)):
                found[each.field] = chosen
    return found


def distribution(each: Searched) -> BaseDistribution:
    """Returns the values that Optuna may choose for a field.

    Args:
        each: The field.
    """
    if each.values:
        return CategoricalDistribution(each.values)
    if each.whole and not each.base:
        step = int(each.step or 1)
        high = int(each.high) - (int(each.high) - int(each.low)) % step
        return IntDistribution(int(each.low), high, log=each.log, step=1 if each.log else step)
    top = each.high
    if each.step:
        # Optuna warns unless the interval is a multiple of the step.
        top = each.low + each.step * int((each.high - each.low) / each.step + 1e-9)
    return FloatDistribution(each.low, top, log=each.log, step=each.step)
