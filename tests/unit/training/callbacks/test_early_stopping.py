"""When a loss counts as no longer falling."""

import keras
import pytest

from frcnn.settings.training import EarlyStoppingSettings
from frcnn.training.callbacks.early_stopping import EarlyStop


def epochs_run(losses: list[float], patience: int, min_delta: float = 0.0, earlier: int = 0) -> int:
    """After how many of `losses` training stops; the first `earlier` were those of a run before."""
    callback = EarlyStop(EarlyStoppingSettings(min_delta, patience), losses[:earlier])
    model = keras.Sequential([keras.layers.Dense(1)])
    model.stop_training = False
    callback.set_model(model)
    for epoch, loss in enumerate(losses[earlier:], start=earlier):
        callback.on_epoch_end(epoch, {"loss": loss})
        if model.stop_training:
            return epoch + 1
    return len(losses)


@pytest.mark.parametrize(
    ("losses", "patience", "min_delta", "expected"),
    [
        ([4.0, 3.0, 2.0, 1.0], 1, 0.0, 4),  # falls all the time
        ([4.0, 4.0, 3.0, 2.0], 1, 0.0, 2),  # equal is not lower
        ([4.0, 5.0, 3.0, 3.5, 3.1, 1.0], 2, 0.0, 5),  # an improvement in between counts anew
        ([4.0, 3.95, 3.91, 3.0], 2, 0.1, 3),  # falls, but by less than min_delta
        ([4.0, 3.95, 3.89, 3.0], 2, 0.1, 4),  # compared with the best, not with the epoch before
    ],
)
def test_training_stops_when_the_loss_has_not_fallen_enough(losses, patience, min_delta, expected):
    assert epochs_run(losses, patience, min_delta) == expected


@pytest.mark.parametrize("earlier", [1, 2, 3, 4])
def test_a_resumed_run_stops_where_one_run_would_have(earlier):
    losses = [4.0, 5.0, 3.0, 3.5, 3.1, 1.0]
    assert epochs_run(losses, 2, earlier=earlier) == epochs_run(losses, 2) == 5
