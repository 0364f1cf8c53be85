"""Measures time and memory for building and pruning detectors; prints a table.

    python -m benchmarks.prune_cost            resnet:101, and those with most layers and most weights
    python -m benchmarks.prune_cost resnet:50 vgg:16

Each architecture runs in a separate process. Weights are random. Half of the parameters are pruned, as in
`frcnn prune --target_params 0.5`; loading a model is not included.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions
from benchmarks.ours_spec import spec_text
from benchmarks.workers import memory_mib
from frcnn.settings.model import model_settings

DEFAULT = ("resnet:101", "efficientnet:b7", "vgg:19")
MAX_BUILD_SECONDS, MAX_PRUNE_SECONDS, MAX_MEMORY_RATIO = 20.0, 60.0, 2.0
WEIGHTS_A_MIB = 2**18


class Cost(NamedTuple):
    """Cost of one architecture.

    Attributes:
        layers: Number of layers.
        weights: Size of the model's weights as float32, MiB.
        build_seconds: Time to build the model.
        prune_seconds: Time to prune it.
        kept_share: Fraction of the parameters that remains.
        peak: Peak memory while pruning, minus the memory before the model was built, MiB.
    """

    layers: int
    weights: float
    build_seconds: float
    prune_seconds: float
    kept_share: float
    peak: float


def main() -> int:
    """Runs the benchmark and returns the exit code 0."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument(
        "archs",
        nargs="*",
        default=DEFAULT,
        metavar="ARCH",
        help="backbones (default: resnet:101 efficientnet:b7 vgg:19)",
    )
    flags.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = flags.parse_args()
    if args.child:
        sys.stdout.write(json.dumps(_measure(args.archs[0])))
        return 0
    conditions = Conditions(len(os.sched_getaffinity(0)))
    console, table = Console(width=120), Table(title="Building and pruning a detector")
    for heading in (
        *("arch", "layers", "weights MiB", "build s", "prune s", "parameters kept"),
        *("peak MiB", "peak/weights"),
    ):
        table.add_column(heading, justify="left" if heading == "arch" else "right")
    for arch in args.archs:
        cost = _in_a_process(arch)
        table.add_row(
            arch,
            str(cost.layers),
            f"{cost.weights:.0f}",
            f"{cost.build_seconds:.1f}",
            f"{cost.prune_seconds:.1f}",
            f"{cost.kept_share:.0%}",
            f"{cost.peak:.0f}",
            f"{cost.peak / cost.weights:.2f}",
        )
    console.print(table)
    console.print(
        f"targets: every build under {MAX_BUILD_SECONDS:.0f} s; resnet:101 pruned in under "
        f"{MAX_PRUNE_SECONDS:.0f} s with at most {MAX_MEMORY_RATIO:.0f} times the memory of its weights",
        highlight=False,
    )
    console.print("\n".join(conditions.lines()), highlight=False)
    return 0


def _in_a_process(arch: str) -> Cost:
    """Measures an architecture in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.prune_cost", "--child", arch]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Cost(*json.loads(done.stdout))


def _measure(arch: str) -> Cost:
    """Builds and prunes an architecture in this process."""
    from frcnn.model.build import build
    from frcnn.pruning.prune import prune
    from frcnn.pruning.settings import PruneSettings
    from frcnn.spec.load import parse_experiment

    text = spec_text(1).replace('arch: "resnet:18"', f'arch: "{arch}"')
    build(
        model_settings(parse_experiment(spec_text(1), "benchmark").spec)
    )  # triggers TensorFlow's one-time allocations
    spec = parse_experiment(text, "benchmark").spec
    before = memory_mib()
    start = time.perf_counter()
    model = build(model_settings(spec))
    built = time.perf_counter()
    count = model.features.count_params() + model.roi_head.count_params()
    layers = len(model.features.layers) + len(model.roi_head.layers)
    _forget_peak()
    pruning = time.perf_counter()
    report = prune(model, PruneSettings(target_params=0.5)).report
    pruned = time.perf_counter()
    return Cost(
        layers=layers,
        weights=count / WEIGHTS_A_MIB,
        build_seconds=built - start,
        prune_seconds=pruned - pruning,
        kept_share=report.after.params / report.before.params,
        peak=memory_mib("VmHWM") - before,
    )


def _forget_peak() -> None:
    """Resets the memory peak of this process to its current memory (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    sys.exit(main())
