"""Spec texts that the tests start from, and ways to change them."""

from pathlib import Path

from frcnn.errors import Problem, SpecError
from frcnn.spec.load import parse_dataset_export, parse_experiment

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).resolve().parents[3]
GUIDE = (DATA / "guide_sample.txt").read_text(encoding="utf-8")
MINIMAL = (DATA / "minimal.txt").read_text(encoding="utf-8")
REFERENCE = (DATA / "reference_base.txt").read_text(encoding="utf-8")


def changed(text: str, *changes: tuple[str, str]) -> str:
    """`text` with each first part replaced, once, by its second."""
    for old, new in changes:
        assert old in text, f"not in the text: {old}"
        text = text.replace(old, new, 1)
    return text


def problems_of(text: str) -> tuple[Problem, ...]:
    """Returns the problems of an experiment spec."""
    return _problems(parse_experiment, text)


def export_problems_of(text: str) -> tuple[Problem, ...]:
    """Returns the problems of a dataset_convert spec."""
    return _problems(parse_dataset_export, text)


def _problems(parse, text: str) -> tuple[Problem, ...]:
    try:
        parse(text, "spec.txt")
    except SpecError as error:
        return error.problems
    return ()


def place_of(text: str, part: str) -> tuple[int, int]:
    """Line and column of the first occurrence of `part`, from 1."""
    before = text[: text.index(part)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
