"""One process of `benchmarks.scaling`: trains with the product's code and measures the parts of a step.

python -m benchmarks.scaling_rank RECORDS FOLDER STEPS
"""

import dataclasses
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from benchmarks.input_pipeline import ROWS, make_spec
from frcnn.data.input.dataset import training_dataset
from frcnn.distributed.world import World, join, rank_info
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.settings.data import data_settings
from frcnn.settings.training import training_run
from frcnn.spec import Experiment
from frcnn.training import trainer

WARM_UP_STEPS = 4
EXCHANGES = 10
BATCHES = 10


class Clock(keras.callbacks.Callback):
    """Callback that records the times of its calls.

    One clock before and one after all other callbacks measure the duration of these.
    """

    def __init__(self) -> None:
        """Creates a clock without recorded times."""
        super().__init__()
        self.times: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Records the time.

        Args:
            batch: Number of the batch; unused.
            logs: Logs of the batch; unused.
        """
        self.times.append(time.perf_counter())


def main(records: str, folder: str, steps: str) -> None:
    """Trains one epoch and writes the measurements as JSON.

    Args:
        records: Record file.
        folder: Output folder.
        steps: Number of steps to measure, as text.
    """
    clocks = Clock(), Clock()
    fit = FasterRCNN.fit
    models = []

    def watched(self: FasterRCNN, *positional: Any, callbacks: list[Any], **named: Any) -> Any:
        models.append(self)
        return fit(self, *positional, callbacks=[clocks[0], *callbacks, clocks[1]], **named)

    FasterRCNN.fit = watched
    spec, world = make_spec(Path(records), ROWS["and flip"], 1), join()
    spec = dataclasses.replace(spec, training_config=dataclasses.replace(spec.training_config, num_epochs=1))
    trainer.train(training_run(spec), Path(folder), world=world)
    first, last = (clock.times[WARM_UP_STEPS : WARM_UP_STEPS + int(steps)] for clock in clocks)
    times = {
        "step": (last[-1] - last[0]) / (len(last) - 1),
        "logging": statistics.mean(end - start for start, end in zip(first, last, strict=True)),
        "data": _data_seconds(spec, world),
        "allreduce": _exchange_seconds(models[0], world),
    }
    path = Path(folder) / f"times_{rank_info().rank}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(times))


def _data_seconds(spec: Experiment, world: World) -> float:
    """Measures CPU seconds for reading, decoding and augmenting a batch. Training overlaps with this work."""
    here = world.place
    batches = iter(training_dataset(data_settings(spec), rank=here.rank, world=here.size).batches)
    next(batches)
    began = time.process_time()
    for _ in range(BATCHES):
        next(batches)
    return (time.process_time() - began) / BATCHES


def _exchange_seconds(model: FasterRCNN, world: World) -> float:
    """Measures the median seconds of an exchange of gradients that all ranks start at the same time."""

    @tf.function(jit_compile=False)
    def exchange() -> Any:
        means = world.average([tf.identity(each.value) for each in model.trainable_variables], "benchmark")
        return tf.add_n([tf.reduce_max(each) for each in means])

    exchange()
    seconds = []
    for _ in range(EXCHANGES):
        world.barrier()
        began = time.perf_counter()
        float(exchange())
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
