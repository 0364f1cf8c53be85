"""Counts and shares in words."""

import pytest

from frcnn.survey.wording import counted, percent


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "object", "0 objects"),
        (1, "object", "1 object"),
        (2, "class", "2 classes"),
        (1, "class", "1 class"),
    ],
)
def test_counts(number, noun, text):
    assert counted(number, noun) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 4888, "0.0%"),
        (1, 4888, "< 0.1%"),
        (1, 2000, "0.1%"),
        (1, 3, "33.3%"),
        (4887, 4888, "> 99.9%"),
        (4888, 4888, "100.0%"),
        (0, 0, "\N{EN DASH}"),
    ],
)
def test_few_of_many_are_not_none_of_them_and_nearly_all_not_all(part, whole, text):
    assert percent(part, whole) == text
