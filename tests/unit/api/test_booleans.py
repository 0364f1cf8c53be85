"""Arguments that are true or false take nothing else: the text "no" would count as true."""

import inspect

import numpy as np
import pytest

import frcnn
from frcnn.api.booleans import checked_booleans
from frcnn.errors import UsageError

FUNCTIONS = {
    name: value
    for name in frcnn.__all__
    if inspect.isfunction(value := getattr(frcnn, name)) or (name == "Int8" and (value := frcnn.Int8))
}
SWITCHES = [
    (name, parameter.name)
    for name, function in FUNCTIONS.items()
    for parameter in inspect.signature(function).parameters.values()
    if parameter.annotation is bool
]


def test_all_functions_with_switches_are_tried():
    assert {name for name, _ in SWITCHES} >= {
        "convert",
        "train",
        "evaluate",
        "export",
        "prune",
        "load",
        "Int8",
    }


@pytest.mark.parametrize(("name", "switch"), SWITCHES)
@pytest.mark.parametrize("value", ["no", "", 1, None])
def test_a_value_that_is_neither_true_nor_false_is_refused(name, switch, value):
    function = FUNCTIONS[name]
    required = [
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.default is inspect.Parameter.empty
    ]
    with pytest.raises(UsageError) as caught:
        function(**dict.fromkeys(required, "x"), **{switch: value})
    assert str(caught.value) == f"{switch} {value!r}: expected True or False"
    assert caught.value.argument == switch


@pytest.mark.parametrize("value", [True, False, np.bool_(True)])
def test_true_and_false_of_python_and_numpy_are_passed_on(value):
    @checked_booleans
    def function(number: int, *, switch: bool = False) -> tuple[int, bool]:
        return number, switch

    assert function(3, switch=value) == (3, value)
    assert function(3) == (3, False)
