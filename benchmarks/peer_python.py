"""Interpreter with torchvision, which the benchmarks compare with."""

import argparse
from pathlib import Path

PEER_PYTHON = Path(__file__).resolve().parent.parent / ".venv-peer" / "bin" / "python"


def add_peer_python(flags: argparse.ArgumentParser) -> None:
    """Adds the flag `--peer-python`.

    Args:
        flags: Parser to extend.
    """
    flags.add_argument(
        "--peer-python",
        type=Path,
        default=PEER_PYTHON,
        help="Python interpreter with torchvision (default: .venv-peer/bin/python)",
    )
