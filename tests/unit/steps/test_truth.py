import argparse

import pytest

from frcnn.steps.truth import truth


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("True", True), ("false", False), ("False", False)]
)
def test_both_spellings_of_kfp_are_read(text, expected):
    assert truth(text) is expected


@pytest.mark.parametrize("text", ["", "yes", "1", "truthful"])
def test_anything_else_is_refused_with_what_came(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"^'{text}': expected true or false$"):
        truth(text)
