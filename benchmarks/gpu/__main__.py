"""Checks and measures the GPU code in at most 10 minutes; prints one table and writes one JSON file.

    python -m benchmarks.gpu
    python -m benchmarks.gpu --json gpu.json --sections device agreement
    python -m benchmarks.gpu --rehearse        on a machine without a GPU: tests the benchmark itself

docs/gpu.md explains the table.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.gpu import findings as results
from benchmarks.gpu.plan import SECTIONS, TOTAL_SECONDS, Job, run_all
from benchmarks.peer_python import add_peer_python
from frcnn.gpus import driver_gpus

NO_GPU = (
    "NVIDIA's driver shows no GPU here, so nothing was measured; run this on a machine with an NVIDIA GPU "
    "after `make setup GPU=1`, or add --rehearse to test the benchmark itself on the CPU."
)


def parser() -> argparse.ArgumentParser:
    """Returns the command line parser."""
    flags = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [each.name for each in SECTIONS]
    flags.add_argument("--json", type=Path, default=Path("gpu.json"), help="result file (default: gpu.json)")
    flags.add_argument(
        "--sections", nargs="+", choices=names, default=names, help="sections to run (default: all)"
    )
    flags.add_argument(
        "--minutes", type=float, default=TOTAL_SECONDS / 60, help="time for all sections (default: 10)"
    )
    add_peer_python(flags)
    flags.add_argument("--rehearse", action="store_true", help="run on the CPU with small settings")
    return flags


def main(words: Sequence[str] | None = None) -> int:
    """Runs the sections.

    Args:
        words: Command line; `None` for that of the process.

    Returns:
        Exit code: 0 if nothing is wrong, 1 if something is or there is no GPU.
    """
    args = parser().parse_args(words)
    console = Console(width=None if sys.stdout.isatty() else 160)
    if not args.rehearse and not driver_gpus():
        sys.stderr.write(NO_GPU + "\n")
        return 1
    # Sections are process groups of their own: whoever ends this process means them, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    chosen = [each for each in SECTIONS if each.name in args.sections]
    folder = Path(tempfile.mkdtemp(prefix="frcnn-gpu-"))
    found, seconds = run_all(
        Job(folder, args.peer_python, args.rehearse),
        chosen,
        args.minutes * 60,
        say=lambda text: console.print(text, highlight=False),
    )
    console.print(results.table(found))
    results.write_json(args.json, found, seconds)
    console.print(f"All figures: {args.json}. Attach this file to a bug report.", highlight=False)
    wrong = [each for each in found if each.verdict is results.Verdict.WRONG]
    if wrong:
        console.print(f"{len(wrong)} findings are wrong; logs: {folder}", highlight=False)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def run() -> int:
    """Runs `main`; an interrupt ends it without a stack trace."""
    try:
        return main()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(run())
