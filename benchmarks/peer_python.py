"""Interpreter with torchvision, which the benchmarks compare with."""

import argparse
import os
from pathlib import Path

PEER_PYTHON = Path(__file__).resolve().parent.parent / ".venv-peer" / "bin" / "python"


def add_peer_python(flags: argparse.ArgumentParser) -> None:
    """Adds the flag `--peer-python`."""
    flags.add_argument(
        "--peer-python",
        type=Path,
        default=PEER_PYTHON,
        help="Python interpreter with torchvision (default: .venv-peer/bin/python)",
    )


def add_measurement_flags(flags: argparse.ArgumentParser) -> None:
    """Adds `--threads`, `--peer-python` and `--json`, the flags of speed comparisons with torchvision."""
    cores = len(os.sched_getaffinity(0))
    flags.add_argument("--threads", type=int, default=cores, help="threads per side (default: all cores)")
    add_peer_python(flags)
    flags.add_argument("--json", type=Path, help="JSON file for all single measurements")
