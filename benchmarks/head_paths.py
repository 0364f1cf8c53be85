"""Times the head of every family with its 3x3 convolutions on the fast route and on the direct one.

python -m benchmarks.head_paths

A step is forward and backward through the head alone, RoIs from memory. Both ways take turns, so that they
meet the same machine. Heads without 3x3 convolutions have one way only and are listed with its time.
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


def head_of(arch: str) -> keras.Model:
    """The head with fresh weights."""
    made = backbone(arch, BackboneOptions())
    depth = made.body(keras.Input((*BODY_SIDES, 3))).shape[-1]
    crops = keras.Input((POOL_SIZE, POOL_SIZE, depth))
    return keras.Model(crops, made.head(crops, downsample=False))


def compiled(head: keras.Model, crops: tf.Tensor, *, train: bool, direct: bool) -> Callable[[], object]:
    """One step or one forward pass, traced; `direct` keeps convolutions from the fast route."""
    weights = [variable.value for variable in head.trainable_variables]

    def step() -> object:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(head(crops, training=train)))
        return tape.gradient(loss, weights) if train else loss

    function = tf.function(step)
    with plain_convolutions() if direct else contextlib.nullcontext():
        function.get_concrete_function()
    return function


def times(ways: list[Callable[[], object]], turns: int) -> Iterator[float]:
    """Median seconds of each."""
    seconds: list[list[float]] = [[] for _ in ways]
    for turn in range(turns + 1):
        for way, found in zip(ways, seconds, strict=True):
            start = time.perf_counter()
            way()
            if turn:
                found.append(time.perf_counter() - start)
    return map(statistics.median, seconds)


def main() -> int:
    """Runs it; 0 when done."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--archs", nargs="+", default=ARCHS, metavar="ARCH")
    flags.add_argument("--rois", type=int, default=256)
    flags.add_argument("--turns", type=int, default=5)
    args = flags.parse_args()
    conditions = Conditions(threads=0)
    table = Table(title=f"The head on {args.rois} RoIs of {POOL_SIZE}x{POOL_SIZE}, milliseconds, float32")
    table.add_column("arch")
    for heading in ("3x3 layers", "forward", "direct", "times", "train step", "direct", "times"):
        table.add_column(heading, justify="right")
    for arch in args.archs:
        head = head_of(arch)
        fast = sum(isinstance(each, Conv2D) and each.takes_dft(each.input.shape) for each in head.layers)
        shape = (args.rois, *head.inputs[0].shape[1:])
        crops = tf.constant(np.random.default_rng(0).normal(size=shape).astype(np.float32))
        row = [arch, str(fast)]
        for train in (False, True):
            routes = (False, True) if fast else (False,)
            found = [1e3 * each for each in times(
                [compiled(head, crops, train=train, direct=direct) for direct in routes], args.turns
            )]  # fmt: skip
            row += [f"{each:.0f}" for each in found] + ([f"{found[1] / found[0]:.2f}"] if fast else ["", ""])
        table.add_row(*row)
    console = Console(width=110)
    console.print(table)
    for line in conditions.lines():
        console.print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
