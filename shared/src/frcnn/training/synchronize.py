"""Synchronizes initial state and epoch averages across ranks."""

import dataclasses
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from frcnn.distributed.world import World
from frcnn.errors import RunError
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.qat.layers import QDQ

if TYPE_CHECKING:
    from frcnn.data.input.dataset import Dataset
    from frcnn.model.files.training_record import TrainingRecord
    from frcnn.settings.training import TrainingRun


class EpochMeans(keras.callbacks.Callback):
    """Callback that averages losses and moving statistics over the ranks after each epoch.

    It must run before all callbacks that use either: validation, checkpoints, reports.
    """

    def __init__(self, world: World) -> None:
        """Creates the callback.

        Args:
            world: Ranks of the training.
        """
        super().__init__()
        self._world = world

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Averages statistics and logs. All ranks take part and get the same values."""
        average_statistics(self.model, self._world)
        if logs is not None:
            everyone = self._world.gather({name: float(value) for name, value in logs.items()})
            for name in logs:
                logs[name] = sum(each[name] for each in everyone) / len(everyone)


def average_statistics(model: FasterRCNN, world: World) -> None:
    """Averages moving statistics and quantization ranges over the ranks.

    Each rank has seen different images.

    Args:
        model: Detector in training.
        world: Ranks of the training.
    """
    statistics = [
        variable
        for part in (model.features, model.roi_head)
        for layer in part.layers
        for variable in _statistics_of(layer)
    ]
    means = world.average([variable.value for variable in statistics], "statistics")
    for variable, mean in zip(statistics, means, strict=True):
        variable.assign(mean)


def _statistics_of(layer: keras.Layer) -> tuple[keras.Variable, ...]:
    """Returns the moving averages that a layer learns from its batches."""
    if isinstance(layer, QDQ):
        return (layer.scaling_factor,)
    # Frozen statistics are equal on all ranks; averaging would only add rounding errors.
    learns = layer.trainable and not getattr(layer, "frozen", False)
    if isinstance(layer, keras.layers.BatchNormalization) and learns:
        return layer.moving_mean, layer.moving_variance
    return ()


def sync_initial_state(model: FasterRCNN, world: World, facts: dict[str, object]) -> None:
    """Synchronizes weights and optimizer state with rank 0, and starts averaging gradients.

    Args:
        model: Compiled model with a built optimizer.
        world: Ranks of the training.
        facts: Values that must be equal on all ranks, by name.

    Raises:
        RunError: A value differs; the message gives the first difference.
    """
    everyone = world.gather(facts)
    for rank, theirs in enumerate(everyone):
        for name, value in everyone[0].items():
            if theirs[name] != value:
                raise RunError(
                    f"{name}: {value} on rank 0, {theirs[name]} on rank {rank}. "
                    "All machines need the same spec, records and model files."
                )
    # `variables` would include the states of random generators, which must differ between ranks.
    world.broadcast([*model.weights, *model.optimizer.variables])
    model.average_gradients = lambda gradients: world.average(gradients, "gradients")


def facts(
    run: "TrainingRun",
    data: "Dataset",
    validation: "Dataset | None",
    model: "FasterRCNN",
    record: "TrainingRecord",
) -> dict[str, object]:
    """Collects the values on which ranks must agree before the first step.

    Args:
        run: Settings of the training.
        data: Training set.
        validation: Validation set, if there is one.
        model: Detector to train.
        record: Training record at the start.

    Returns:
        Values of settings, data and starting point, by name.
    """
    return {
        "CRC-32 of model_config and training_config": zlib.crc32(repr(_without_folders(run)).encode()),
        "training images": data.size,
        "validation images": validation.size if validation else 0,
        "epochs done": record.epoch,
        "parameters": model.count_params(),
    }


def _without_folders(run: "TrainingRun") -> "TrainingRun":
    """Removes locations of data and models: folders may differ between machines."""
    start = run.start
    names = (start.resume_from_model, start.retrain_pruned_model, start.pretrained_weights)
    return dataclasses.replace(
        run,
        start=type(start)(*(Path(name).name for name in names)),
        data=dataclasses.replace(run.data, sources=(), validation_source=None),
        visualizer=dataclasses.replace(run.visualizer, wandb=None),
    )
