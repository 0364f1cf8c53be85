"""Worker process: this project's detector on a GPU, in float32 or in 16 bits as `--use_amp` computes.

`speed.py` starts it.
"""

import argparse
import functools
from typing import Any

import tensorflow as tf

from benchmarks.gpu.section import gpu_peak_mib, let_memory_grow
from benchmarks.ours import TOTAL_STEPS, Ours, _training_batch
from benchmarks.workers import serve
from frcnn.distributed.world import RankInfo
from frcnn.settings.training import training_run
from frcnn.training.compile import prepare
from frcnn.training.trainer import set_up


class OnGpu(Ours):
    """This project's side; the optimizer scales the loss in float16, as in training."""

    def __init__(self, precision: str, batch: int) -> None:
        """Builds the detector from the shared settings.

        Args:
            precision: `float32` or `mixed`.
            batch: Batch size.
        """
        super().__init__("float32", batch)
        prepare(self.model, training_run(self.spec), TOTAL_STEPS, RankInfo(), amp=precision == "mixed")

    @functools.cached_property
    def train_function(self) -> Any:
        """Function that `fit` calls for each step, bound to the training batch."""
        self.model.make_train_function()
        batches = tf.data.Dataset.from_tensors(_training_batch(self.scene)).repeat()
        return functools.partial(self.model.train_function, iter(batches))

    def report(self) -> dict[str, Any]:
        """Returns the facts of the base class and the peak of GPU memory, MiB."""
        return {**super().report(), "gpu_mib": gpu_peak_mib()}


def main() -> None:
    """Serves commands from standard input."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--precision", choices=("float32", "mixed"), required=True)
    flags.add_argument("--batch", type=int, required=True)
    args = flags.parse_args()
    let_memory_grow()
    set_up(seed=42)
    serve(lambda: OnGpu(args.precision, args.batch))


if __name__ == "__main__":
    main()
