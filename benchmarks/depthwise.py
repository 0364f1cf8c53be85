"""Compares TensorFlow's depthwise 3x3 convolution with two alternatives on the head's small feature maps.

    python -m benchmarks.depthwise

There are 256 maps of 7x7 with the channel counts of MobileNetV2's head. Each variant is measured forward
only, and forward with both gradients.
"""

import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions

MAPS, SIDE, CHANNELS = 256, 7, (576, 960)
RUNS = 9

Convolution = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def own(maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Applies TensorFlow's operator.

    Args:
        maps: Feature maps, float32 `[B, S, S, C]`.
        kernel: Kernel, float32 `[3, 3, C, 1]`.

    Returns:
        Feature maps, float32 `[B, S, S, C]`.
    """
    return tf.nn.depthwise_conv2d(maps, kernel, [1, 1, 1, 1], "SAME")


def shifted(maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Sums nine shifted maps, each multiplied by one kernel element; see `own`."""
    padded = tf.pad(maps, [[0, 0], [1, 1], [1, 1], [0, 0]])
    places = [(row, column) for row in range(3) for column in range(3)]
    return tf.add_n([padded[:, y : y + SIDE, x : x + SIDE] * kernel[y, x, :, 0] for y, x in places])


def products(maps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Multiplies, for each channel, its maps as rows by a matrix `[S * S, S * S]`; see `own`."""
    places, channels = SIDE * SIDE, maps.shape[3]
    matrices = tf.einsum("ijc,ijpq->cpq", kernel[..., 0], _taps())
    rows = tf.transpose(tf.reshape(maps, [-1, places, channels]), [2, 0, 1])
    return tf.reshape(tf.transpose(rows @ matrices, [1, 2, 0]), [-1, SIDE, SIDE, channels])


@cache
def _taps() -> np.ndarray:
    """Returns `[3, 3, from, to]`: 1 where a kernel element connects two positions of a map, else 0."""
    taps = np.zeros((3, 3, SIDE, SIDE, SIDE, SIDE), np.float32)
    for tap_y, tap_x, y, x in np.ndindex(3, 3, SIDE, SIDE):
        from_y, from_x = y + tap_y - 1, x + tap_x - 1
        if 0 <= from_y < SIDE and 0 <= from_x < SIDE:
            taps[tap_y, tap_x, from_y, from_x, y, x] = 1
    return taps.reshape(3, 3, SIDE * SIDE, SIDE * SIDE)


def _milliseconds(step: Callable[[], Any]) -> float:
    """Returns the median time of `RUNS` calls after one warm-up call, ms."""
    step()
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        step().numpy()
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def _measured(way: Convolution, channels: int) -> tuple[float, float]:
    """Measures ms forward, and with both gradients, after comparing the result with that of `own`."""
    maps, kernel = tf.random.normal([MAPS, SIDE, SIDE, channels]), tf.random.normal([3, 3, channels, 1])
    np.testing.assert_allclose(way(maps, kernel), own(maps, kernel), atol=1e-4)

    @tf.function
    def forward() -> tf.Tensor:
        return tf.reduce_sum(way(maps, kernel))

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch([maps, kernel])
            loss = tf.reduce_sum(way(maps, kernel) ** 2)
        return tf.add_n([tf.reduce_sum(each) for each in tape.gradient(loss, [maps, kernel])])

    return _milliseconds(forward), _milliseconds(step)


def main() -> None:
    """Runs the benchmark and prints the table."""
    conditions = Conditions(threads=0)
    tf.random.set_seed(0)
    tf.config.experimental.enable_op_determinism()
    table = Table(title=f"depthwise 3x3 on {MAPS} maps of {SIDE}x{SIDE}, milliseconds, float32")
    for heading in ("channels", "variant", "forward", "with gradients"):
        table.add_column(heading)
    for channels in CHANNELS:
        for way in (own, products, shifted):
            forward, both = _measured(way, channels)
            table.add_row(str(channels), way.__name__, f"{forward:.0f}", f"{both:.0f}")
    console = Console()
    console.print(table)
    console.print("\n".join(conditions.lines()))


if __name__ == "__main__":
    main()
