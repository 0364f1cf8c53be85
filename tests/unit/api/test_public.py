"""The public interface is what tests/api/public.txt says: a change of it is seen in review."""

import subprocess
import sys
from pathlib import Path

import pytest

import frcnn
from tests.support.public_surface import KEPT, surface

ROOT = Path(__file__).resolve().parents[3]


def test_the_public_signatures_are_those_that_are_kept():
    kept = KEPT.read_text(encoding="utf-8")
    assert surface() == kept, "after a change that is meant: python -m tests.support.public_surface"


def test_what_comes_back_and_goes_in_has_no_any():
    assert not [line for line in surface().splitlines() if "Any" in line]


def test_every_public_function_says_what_its_parameters_are():
    for name in frcnn.__all__:
        value = getattr(frcnn, name)
        if callable(value) and not isinstance(value, type):
            text = value.__doc__ or ""
            assert "Args:" in text and "Returns:" in text and "Raises:" in text, name


@pytest.mark.slow
def test_the_types_hold_under_mypy_strict(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml")),
            *("--follow-imports", "silent", "--cache-dir", str(tmp_path), str(ROOT / "tests/api/uses.py")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
