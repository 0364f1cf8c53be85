"""Compares the fast (DFT) and the direct 3x3 convolutions in the head of every backbone family.

python -m benchmarks.head_paths

A train step is forward and backward through the head alone, with RoIs from memory. Both routes run
alternately, so that machine load affects both alike. Heads without convolutions on the fast route have one
time only.
"""

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions
from frcnn.model.backbones import BackboneOptions, backbone
from frcnn.model.layers import Conv2D, plain_convolutions

ARCHS = (
    "resnet:18",
    "resnet:50",
    "resnet101",
    "darknet:19",
    "darknet:53",
    "googlenet",
    "mobilenet_v1",
    "mobilenet_v2",
    "efficientnet:b0",
    "vgg:16",
)
POOL_SIZE = 7
BODY_SIDES = (64, 64)


def _head_of(arch: str) -> keras.Model:
    """Builds a head with random weights, from cropped feature maps `[N, 7, 7, C]`."""
    made = backbone(arch, BackboneOptions())
    depth = made.body(keras.Input((*BODY_SIDES, 3))).shape[-1]
    crops = keras.Input((POOL_SIZE, POOL_SIZE, depth))
    return keras.Model(crops, made.head(crops, downsample=False))


def _compiled(head: keras.Model, crops: tf.Tensor, *, train: bool, direct: bool) -> Callable[[], object]:
    """Traces a train step or a forward pass of a head; `direct` disables the fast route of convolutions."""
    weights = [variable.value for variable in head.trainable_variables]

    def step() -> object:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(head(crops, training=train)))
        return tape.gradient(loss, weights) if train else loss

    function = tf.function(step)
    with plain_convolutions() if direct else contextlib.nullcontext():
        function.get_concrete_function()
    return function


def _times(ways: list[Callable[[], object]], turns: int) -> Iterator[float]:
    """Measures functions in turns, after one warm-up turn; yields the median seconds of each."""
    seconds: list[list[float]] = [[] for _ in ways]
    for turn in range(turns + 1):
        for way, found in zip(ways, seconds, strict=True):
            start = time.perf_counter()
            way()
            if turn:
                found.append(time.perf_counter() - start)
    return map(statistics.median, seconds)


def main() -> int:
    """Runs the benchmark and returns the exit code 0."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument(
        "--archs", nargs="+", default=ARCHS, metavar="ARCH", help="backbones (default: all families)"
    )
    flags.add_argument("--rois", type=int, default=256, help="number of RoIs (default: 256)")
    flags.add_argument("--turns", type=int, default=5, help="measured runs (default: 5)")
    args = flags.parse_args()
    conditions = Conditions(threads=0)
    table = Table(title=f"The head on {args.rois} RoIs of {POOL_SIZE}x{POOL_SIZE}, milliseconds, float32")
    table.add_column("arch")
    for heading in ("3x3 layers", "forward", "direct", "speedup", "train step", "direct", "speedup"):
        table.add_column(heading, justify="right")
    for arch in args.archs:
        head = _head_of(arch)
        fast = sum(isinstance(each, Conv2D) and each.takes_dft(each.input.shape) for each in head.layers)
        shape = (args.rois, *head.inputs[0].shape[1:])
        crops = tf.constant(np.random.default_rng(0).normal(size=shape).astype(np.float32))
        row = [arch, str(fast)]
        for train in (False, True):
            routes = (False, True) if fast else (False,)
            found = [1e3 * each for each in _times(
                [_compiled(head, crops, train=train, direct=direct) for direct in routes], args.turns
            )]  # fmt: skip
            row += [f"{each:.0f}" for each in found] + ([f"{found[1] / found[0]:.2f}"] if fast else ["", ""])
        table.add_row(*row)
    console = Console(width=110)
    console.print(table)
    console.print("\n".join(conditions.lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
