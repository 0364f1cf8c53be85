"""Writes docs/spec.md again from the protos' comments; `make spec-docs` calls it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "shared/src"))

from frcnn.errors import SpecError  # noqa: E402 - the path comes first
from frcnn.files import write_text  # noqa: E402
from frcnn.spec.load import parse_experiment, read_text  # noqa: E402
from frcnn.spec.schema.document import page  # noqa: E402

EXAMPLE = ROOT / "tests/unit/spec/data/five_faults.txt"


def main() -> None:
    """Writes the page."""
    write_text(ROOT / "docs/spec.md", page(example()))


def example() -> str:
    """What `frcnn spec check` says of a spec with five faults."""
    try:
        parse_experiment(read_text(EXAMPLE), EXAMPLE.name)
    except SpecError as error:
        return str(error)
    raise AssertionError(f"{EXAMPLE} has no faults")


if __name__ == "__main__":
    main()
