"""Average of the weights: used for checkpoints and validation; training continues from the weights."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from frcnn.distributed.world import join
from frcnn.model.build import build
from frcnn.model.files.archive import read_weights
from frcnn.model.files.checkpoint import load_checkpoint, save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.model.weight_averages import WeightAverages
from frcnn.settings.model import model_settings
from frcnn.settings.training import training_run
from frcnn.training.compile import prepare, restore
from frcnn.training.trainer import train
from tests.support.toy_training import toy_spec

TWO = "batch_size_per_gpu: 2 num_epochs: 2 optimizer { adam { } }"
AVERAGED = f"{TWO} average_weights: true"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The results folder of a training of two epochs with averages."""
    folder = tmp_path_factory.mktemp("averaged")
    train(training_run(toy_spec(folder, images=4, training=AVERAGED)), folder / "results")
    return folder / "results"


def averages_of(values: list[float], momenta: list[float]) -> float:
    mean = 0.0
    for value, momentum in zip(values, momenta, strict=True):
        mean = mean * momentum + value * (1.0 - momentum)
    return mean


def test_averages_follow_the_weights_and_change_places_with_them_bit_for_bit():
    weight = keras.Variable([1.0, 2.0])
    optimizer = keras.optimizers.SGD()
    optimizer.build([weight])
    averages = WeightAverages(optimizer, [weight])
    momenta = [0.0, 0.25, 0.5]
    for number, momentum in enumerate(momenta):
        weight.assign([float(number), 3.0])
        averages.update(tf.constant(momentum))
    held = averages_of([0.0, 1.0, 2.0], momenta)
    averages.exchange()
    np.testing.assert_allclose(weight, [held, 3.0])
    assert averages.exchanged
    averages.exchange()
    np.testing.assert_array_equal(weight, np.float32([2.0, 3.0]))
    assert not averages.exchanged and len(averages) == 1


def test_a_resumed_training_with_averages_ends_with_the_bytes_of_an_uninterrupted_one(finished, tmp_path):
    name = "frcnn_resnet_10.epoch_1.keras"
    shutil.copyfile(finished / name, tmp_path / name)
    resume = f'{AVERAGED} resume_from_model: "{tmp_path / name}"'
    again = train(
        training_run(toy_spec(tmp_path, images=4, training=resume)), tmp_path / "results"
    ).checkpoint
    left, right = (read_weights(path, path).arrays for path in (finished / again.name, again))
    assert left.keys() == right.keys()
    assert [key for key in left if left[key].tobytes() != right[key].tobytes()] == []


def restored(folder, checkpoint, fields):
    """The checkpoint's model as its file has it, and as it is prepared to go on by a spec with `fields`."""
    model, record, state = load_checkpoint(checkpoint)
    in_file = [variable.numpy() for variable in model.trainable_variables]
    spec = toy_spec(folder, images=4, training=fields)
    prepare(model, training_run(spec), 4, join().place, amp=False)
    restore(model, state, record.step, recounted=False, seed=0)
    return model, in_file


def test_a_checkpoint_holds_averages_and_without_them_training_goes_on_from_the_weights(finished, tmp_path):
    checkpoint = finished / "frcnn_resnet_10.epoch_1.keras"
    with_averages, in_file = restored(tmp_path, checkpoint, AVERAGED)
    without, _ = restored(tmp_path, checkpoint, TWO)
    with_averages.weight_averages.exchange()
    different = 0
    for one, other, mean in zip(
        with_averages.trainable_variables, without.trainable_variables, in_file, strict=True
    ):
        np.testing.assert_array_equal(one, other)
        different += int((np.asarray(one) != mean).any())
    assert different > len(in_file) / 2


def test_a_checkpoint_without_averages_starts_them_at_its_weights(tmp_path):
    spec = toy_spec(tmp_path, images=2, training="num_epochs: 1 optimizer { adam { } }")
    trained = build(model_settings(spec))
    prepare(trained, training_run(spec), 2, join().place, amp=False)
    checkpoint = tmp_path / "r.epoch_1.keras"
    save_model(trained, checkpoint, TrainingRecord("resnet:10", spec.class_names, epoch=1, step=2))
    model, in_file = restored(tmp_path, checkpoint, AVERAGED)
    assert not model.weight_averages.exchanged
    model.weight_averages.exchange()
    for one, other in zip(model.trainable_variables, in_file, strict=True):
        np.testing.assert_array_equal(one, other)
