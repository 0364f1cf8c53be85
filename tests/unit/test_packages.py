"""Extras that messages name."""

import tomllib
from pathlib import Path

import pytest

from frcnn.cli.tasks import all_tasks
from frcnn.packages import EXTRAS, INCLUDED, extras_of_task

PROJECT = tomllib.loads((Path(__file__).parents[2] / "shared/pyproject.toml").read_text(encoding="utf-8"))
DECLARED = PROJECT["project"]["optional-dependencies"]


def included(extra: str) -> set[str]:
    """The extras that an extra of the distribution brings, and those that they bring."""
    found = set()
    for line in DECLARED[extra]:
        if line.startswith("frcnn["):
            for each in line.removeprefix("frcnn[").rstrip("]").split(","):
                found |= {each, *included(each)}
    return found


def test_the_extras_of_tasks_and_packages_exist():
    named = {*EXTRAS.values(), *(task.extras for task in all_tasks().values() if task.extras)}
    assert {extra for each in named for extra in each.split(",")} <= set(DECLARED)


@pytest.mark.parametrize("extra", sorted(INCLUDED))
def test_extras_include_what_the_distribution_says(extra):
    own = {"onnx"} if extra == "export" else set()  # lists the same packages, not the extra
    assert INCLUDED[extra] == included(extra) | own


@pytest.mark.parametrize(
    ("wanted", "package", "expected"),
    [
        ("evaluate,cpu", "numpy", "evaluate,cpu"),
        ("evaluate,cpu", "keras", "evaluate,cpu"),
        ("evaluate,cpu", "openvino", "evaluate,cpu,openvino"),
        ("evaluate,cpu", "onnx", "evaluate,cpu,onnx"),
        ("export,cpu", "onnx", "export,cpu"),
    ],
)
def test_one_command_installs_all_that_a_task_needs(wanted, package, expected):
    assert extras_of_task(wanted, package) == expected
