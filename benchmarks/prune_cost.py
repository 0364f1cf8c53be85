"""How long backbones take to build and to prune, and how much memory that needs; prints a table.

    python -m benchmarks.prune_cost            resnet:101, and those with most layers and most weights
    python -m benchmarks.prune_cost resnet:50 vgg:16

Each architecture has a process of its own. Weights are random; half of the parameters are pruned, as
`frcnn prune --target_params 0.5` does after it has loaded its model.
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

DEFAULT = ("resnet:101", "efficientnet:b7", "vgg:19")
BUILD_LIMIT, PRUNE_LIMIT, MEMORY_LIMIT = 20.0, 60.0, 2.0
WEIGHTS_A_MIB = 2**18


class Cost(NamedTuple):
    """Of one architecture; seconds and MiB.

    Attributes:
        weights: Of the model's own arrays, float32.
        peak: Most memory while pruning, above what the process had before there was a model.
    """

    layers: int
    weights: float
    build_seconds: float
    prune_seconds: float
    kept_share: float
    peak: float


def main() -> int:
    """Runs it; 0 when done."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("archs", nargs="*", default=DEFAULT, metavar="ARCH")
    flags.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = flags.parse_args()
    if args.child:
        sys.stdout.write(json.dumps(measure(args.archs[0])))
        return 0
    conditions = Conditions(len(os.sched_getaffinity(0)))
    console, table = Console(width=120), Table(title="Building and pruning a detector")
    for heading in (
        *("arch", "layers", "weights MiB", "build s", "prune s", "parameters kept"),
        *("peak MiB", "peak/weights"),
    ):
        table.add_column(heading, justify="left" if heading == "arch" else "right")
    for arch in args.archs:
        cost = in_a_process(arch)
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
        f"wanted: any build under {BUILD_LIMIT:.0f} s; resnet:101 pruned in under {PRUNE_LIMIT:.0f} s and "
        f"{MEMORY_LIMIT:.0f} times its memory",
        highlight=False,
    )
    for line in conditions.lines():
        console.print(line, highlight=False)
    return 0


def in_a_process(arch: str) -> Cost:
    """Measures where no other model has been."""
    command = [sys.executable, "-m", "benchmarks.prune_cost", "--child", arch]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Cost(*json.loads(done.stdout))


def measure(arch: str) -> Cost:
    """Builds and prunes, in this process."""
    from frcnn.model.build import build
    from frcnn.pruning.prune import prune
    from frcnn.pruning.settings import PruneSettings
    from frcnn.spec.load import parse_experiment

    text = spec_text(1).replace('arch: "resnet:18"', f'arch: "{arch}"')
    build(parse_experiment(spec_text(1), "benchmark").spec)  # what TensorFlow allocates once
    spec = parse_experiment(text, "benchmark").spec
    before = memory_mib()
    start = time.perf_counter()
    model = build(spec)
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
    """Sets the process's peak of memory to what it has now (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    sys.exit(main())
