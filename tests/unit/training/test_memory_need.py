"""A batch that cannot fit into memory is refused before the first step."""

import keras
import pytest

from frcnn.distributed.world import OneProcess
from frcnn.errors import RunError
from frcnn.memory import main_memory
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import Conv2D
from frcnn.model.settings import Geometry
from frcnn.training.memory_need import choose_convolutions, memory_need, require_memory, spectra_bytes

HERE = OneProcess().place


def detector(side: int | None = 8, trainable: bool = True) -> FasterRCNN:
    """Joins two tiny networks; only what they keep for their gradients is looked at."""
    images = keras.Input((side, side, 3))
    first = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, trainable=trainable)(images)
    normal = keras.layers.BatchNormalization(trainable=trainable)(first)
    active = keras.layers.ReLU()(normal)
    outputs = [keras.layers.Conv2D(2, 1, use_bias=False)(active), keras.layers.Conv2D(1, 1)(active)]
    crops = keras.Input((2, 2, 4))
    scores = keras.layers.Dense(3)(keras.layers.Flatten()(crops))
    geometry = Geometry(side, side, 3, (8.0,), (1.0,), 2, ("car",))
    model = FasterRCNN(keras.Model(images, [active, *outputs]), keras.Model(crops, scores), geometry)
    model.compile(optimizer="adam", jit_compile=False)
    return model


def test_what_the_gradients_read_is_counted_once_and_per_image():
    need = memory_need(detector(), rois=5)
    # Images, the first convolution's output and, for both last convolutions, the activation; five crops.
    assert need.per_image == 4 * (8 * 8 * (3 + 4 + 4) + 5 * 16)
    weights = 3 * 3 * 3 * 4 + 2 * 4 + 4 * 2 + (4 + 1) + (16 * 3 + 3)
    assert need.fixed == 4 * 3 * weights  # gradient and Adam's two moments
    assert need.of(7) == need.fixed + 7 * need.per_image


def test_frozen_layers_keep_nothing():
    assert memory_need(detector(trainable=False), rois=5).per_image == 4 * (8 * 8 * 4 + 5 * 16)


def test_a_free_input_size_is_not_judged():
    assert memory_need(detector(side=None), rois=5) is None
    require_memory(detector(side=None), 10**9, 5, HERE)


def test_the_largest_batch_that_can_fit_is_named_and_fits():
    model = detector()
    with pytest.raises(
        RunError, match=r"At most \d+ can fit: set batch_size_per_gpu to \d+ or less"
    ) as error:
        require_memory(model, 10**9, 5, HERE)
    assert "batch_size_per_gpu: 1000000000 images need more than" in str(error.value)
    most = int(str(error.value).split("At most ")[1].split()[0])
    assert 0 < most < main_memory() // memory_need(model, 5).per_image + 1
    require_memory(model, most // 2, 5, HERE)


def test_a_network_too_large_for_one_image_gets_other_advice():
    with pytest.raises(RunError, match="Not even one can fit: use a smaller input or backbone"):
        require_memory(detector(), 1, 10**12, HERE)


def with_dft_head(monkeypatch, available: int) -> Conv2D:
    """Returns the head's DFT convolution after the choice, with that much memory."""
    crops = keras.Input((7, 7, 64))
    layer = Conv2D(32, 3)
    model = detector()
    head = keras.Model(crops, keras.layers.Dense(3)(keras.layers.Flatten()(layer(crops))))
    whole = FasterRCNN(model.features, head, model.geometry)
    whole.compile(optimizer="sgd", jit_compile=False)
    monkeypatch.setattr("frcnn.training.memory_need._main_memory", lambda: available)
    choose_convolutions(whole, 2, 5, HERE)
    return layer


def test_the_backward_pass_keeps_transforms_only_where_they_fit(monkeypatch):
    assert not with_dft_head(monkeypatch, 1 << 30).saves_memory
    assert with_dft_head(monkeypatch, 1 << 20).saves_memory


def test_transformed_maps_and_kernels_are_counted(monkeypatch):
    layer = with_dft_head(monkeypatch, 1 << 30)
    assert spectra_bytes(layer, 10) == 4 * 94 * 64 * (10 + 32)
