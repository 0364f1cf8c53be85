"""Numbers and data sets of the wrong type are the caller's mistakes, named by their argument."""

import pytest

import frcnn
from frcnn.errors import UsageError


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: frcnn.new_spec("x", "o", num_epochs="5"),
            "num_epochs '5': expected a whole number, 1 or more",
        ),
        (lambda: frcnn.new_spec("x", "o", num_epochs=0), "num_epochs 0: expected 1 or more"),
        (
            lambda: frcnn.new_spec("x", "o", size=(288, 100)),
            "size 288 x 100: expected at least 128 px per side",
        ),
        (
            lambda: frcnn.new_spec("x", "o", size="288x384"),
            "size '288x384': expected height and width, such as (288, 384)",
        ),
        (lambda: frcnn.new_spec("x", "o", workers=1.5), "workers 1.5: expected a whole number"),
        (lambda: frcnn.data_report("x", compare=-1), "compare -1: expected 0 or more"),
        (lambda: frcnn.data_report("x", workers="2"), "workers '2': expected a whole number"),
        (lambda: frcnn.data_report(None), "data of type NoneType: expected a path or an s3:// URI"),
        (lambda: frcnn.data_report(["x", 5]), "data of type int: expected a path or an s3:// URI"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(call, message):
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value).startswith(message)
