"""What ranks settle among themselves beside gradients: a common start, and common means after an epoch."""

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
    from frcnn.model.files.checkpoint import TrainingRecord
    from frcnn.spec.schema.experiment import Experiment, TrainingConfig


class EpochMeans(keras.callbacks.Callback):
    """After each epoch, losses and moving statistics become their means over the ranks.

    To stand before all callbacks that look at either: validation, checkpoints, reports.
    """

    def __init__(self, world: World) -> None:
        """The ranks."""
        super().__init__()
        self._world = world

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Every rank takes part and ends with the same numbers."""
        average_statistics(self.model, self._world)
        if logs is not None:
            everyone = self._world.gather({name: float(value) for name, value in logs.items()})
            for name in logs:
                logs[name] = sum(each[name] for each in everyone) / len(everyone)


def average_statistics(model: FasterRCNN, world: World) -> None:
    """What normalises and rounds at inference becomes the mean over the ranks, which saw other images."""
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
    """The moving averages that a layer learns from the batches it sees."""
    if isinstance(layer, QDQ):
        return (layer.scaling_factor,)
    # Frozen ones are equal everywhere; their mean would add rounding.
    learns = layer.trainable and not getattr(layer, "frozen", False)
    if isinstance(layer, keras.layers.BatchNormalization) and learns:
        return layer.moving_mean, layer.moving_variance
    return ()


def start_together(model: FasterRCNN, world: World, facts: dict[str, object]) -> None:
    """Gives every rank the weights and optimizer state of rank 0, and averages gradients from now on.

    Args:
        model: Compiled, its optimizer built.
        world: The ranks.
        facts: What must be the same on all of them, by name.

    Raises:
        RunError: It is not; names the first difference.
    """
    everyone = world.gather(facts)
    for rank, theirs in enumerate(everyone):
        for name, value in everyone[0].items():
            if theirs[name] != value:
                raise RunError(
                    f"{name}: {value} on rank 0, {theirs[name]} on rank {rank}; "
                    "all machines need the same spec, records and models"
                )
    # Not `variables`: among those are the states of random generators, which are each rank's own.
    world.broadcast([*model.weights, *model.optimizer.variables])
    model.average_gradients = lambda gradients: world.average(gradients, "gradients")


def facts(
    spec: "Experiment",
    data: "Dataset",
    validation: "Dataset | None",
    model: "FasterRCNN",
    record: "TrainingRecord",
) -> dict[str, object]:
    """What ranks must agree on before the first step: settings, data, and where they start from."""
    settings = spec.model_config, _without_folders(spec.training_config)
    return {
        "CRC-32 of model_config and training_config": zlib.crc32(repr(settings).encode()),
        "training images": data.size,
        "validation images": validation.size if validation else 0,
        "epochs done": record.epoch,
        "parameters": model.count_params(),
    }


def _without_folders(settings: "TrainingConfig") -> "TrainingConfig":
    """Places of files, as of records, may differ from machine to machine."""
    return dataclasses.replace(
        settings,
        resume_from_model=Path(settings.resume_from_model).name,
        retrain_pruned_model=Path(settings.retrain_pruned_model).name,
        pretrained_weights=Path(settings.pretrained_weights).name,
    )
