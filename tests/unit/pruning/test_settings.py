import math

import pytest

from frcnn.errors import UsageError
from frcnn.pruning.settings import PruneSettings


def test_the_defaults_are_those_of_the_reference():
    settings = PruneSettings()
    assert (settings.normalizer, settings.equalization_criterion) == ("max", "union")
    assert (settings.pruning_granularity, settings.pruning_threshold, settings.min_num_filters) == (
        8,
        0.1,
        16,
    )
    assert settings.excluded_layers == () and not settings.has_target


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("normalizer", "L1", "normalizer L1: expected one of max, L2"),
        ("equalization_criterion", "or", "equalization_criterion or: expected one of union, intersection"),
        ("pruning_granularity", 0, "pruning_granularity 0: expected 1 or more"),
        ("min_num_filters", -1, "min_num_filters -1: expected 1 or more"),
        ("rois", 0, "rois 0: expected 1 or more"),
        ("pruning_threshold", -0.1, "pruning_threshold -0.1: expected a number from 0 up"),
        ("pruning_threshold", math.nan, "pruning_threshold nan: expected"),
        ("target_params", 1.0, "target_params 1: expected a fraction of the original between 0 and 1"),
        ("target_flops", 0.0, "target_flops 0: expected a fraction"),
    ],
)
def test_a_value_that_cannot_be_right_is_named_with_what_is_allowed(field, value, message):
    with pytest.raises(UsageError, match=message):
        PruneSettings(**{field: value})


def test_all_problems_come_at_once():
    with pytest.raises(UsageError) as caught:
        PruneSettings(pruning_granularity=0, min_num_filters=0)
    assert len(str(caught.value).splitlines()) == 2
