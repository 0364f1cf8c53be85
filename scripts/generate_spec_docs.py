"""Regenerates docs/spec.md from the comments of the protos. `make spec-docs` runs this."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "shared/src"))

from frcnn.errors import SpecError  # noqa: E402 - needs the path set above
from frcnn.files import write_text  # noqa: E402
from frcnn.spec.load import parse_experiment, read_text  # noqa: E402
from frcnn.spec.schema.document import page  # noqa: E402

EXAMPLE = ROOT / "tests/unit/spec/data/five_faults.txt"


def main() -> None:
    """Writes the page."""
    write_text(ROOT / "docs/spec.md", page(example()))


def example() -> str:
    """Returns the output of `frcnn spec check` for a spec with five errors.

    Raises:
        AssertionError: The spec is valid.
    """
    try:
        parse_experiment(read_text(EXAMPLE), EXAMPLE.name)
    except SpecError as error:
        return str(error)
    raise AssertionError(f"{EXAMPLE} is valid, but should have errors")


if __name__ == "__main__":
    main()
