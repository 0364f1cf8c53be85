"""What ranks settle among themselves beside gradients: a common start, and common means after an epoch."""

import keras

from frcnn.errors import RunError
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.quantised_layers import QDQ
from frcnn.runtime.distributed import World


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
