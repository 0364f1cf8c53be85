"""Each trait changes what it names, and only within its block."""

import keras
import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("pycocotools", reason="benchmarks.accuracy needs pycocotools")

from benchmarks.accuracy_traits import TRAITS
from frcnn.data.transforms import preprocess
from frcnn.model import faster_rcnn
from frcnn.model.build import build
from frcnn.model.layers import BatchNormalization
from frcnn.settings.model import model_settings
from tests.support.toy_training import toy_spec


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traits")
    return model_settings(toy_spec(folder, training='} model_config { arch: "mobilenet_v2"'))


def layers_of(model, kind):
    return [
        each for part in (model.features, model.roi_head) for each in part.layers if isinstance(each, kind)
    ]


def test_relu6_and_epsilon_change_every_layer_of_the_backbone(settings):
    with TRAITS["relu6"](), TRAITS["epsilon"]():
        changed = build(settings)
    usual = build(settings)
    for model, limit, epsilon in ((changed, 6.0, 1e-5), (usual, None, 1e-3)):
        assert {each.max_value for each in layers_of(model, keras.layers.ReLU)} == {limit}
        assert {each.epsilon for each in layers_of(model, BatchNormalization)} == {epsilon}


def test_small_initial_weights_are_those_of_the_rpn_only(settings):
    with TRAITS["rpn_init"]():
        model = build(settings)
    deviations = {
        each.name: float(np.std(each.kernel))
        for each in layers_of(model, keras.layers.Conv2D)
        if each.kernel.shape[2] > 3
    }
    small = {name for name, value in deviations.items() if value == pytest.approx(0.01, rel=0.1)}
    assert small >= {"rpn_conv1", "rpn_out_regress"}
    assert "conv_1" not in small


def test_four_samples_are_the_mean_of_a_crop_of_twice_the_size():
    maps = tf.random.stateless_normal([1, 8, 8, 2], [1, 2])
    rois = tf.constant([[[8.0, 16.0, 100.0, 90.0]]])
    fine = faster_rcnn.crop_and_resize(maps, rois, 128, 128, 4, 16)
    with TRAITS["four_samples"]():
        found = faster_rcnn.crop_and_resize(maps, rois, 128, 128, 2, 16)
    expected = np.reshape(fine, (1, 2, 2, 2, 2, 2)).mean(axis=(2, 4))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_antialiasing_averages_the_pixels_that_it_drops():
    stripes = tf.tile(tf.constant([0.0, 255.0])[None, :, None], [64, 32, 3])
    with TRAITS["antialias"]():
        smooth = preprocess.stretch(stripes, 8, 8)
    np.testing.assert_allclose(smooth, 127.5, atol=20.0)


def test_crops_by_the_stride_begin_at_the_cell_of_the_corner_divided_by_it():
    # The value of each cell is its column: a crop shows where its samples lie.
    maps = tf.broadcast_to(tf.range(8.0)[None, None, :, None], [1, 8, 8, 1])
    rois = tf.constant([[[0.0, 16.0, 100.0, 90.0], [0.0, 16.0, 100.0, 127.0]]])
    with TRAITS["stride_crop"]():
        inside, at_the_border = faster_rcnn.crop_and_resize(maps, rois, 128, 128, 2, 16)[:, 0, :, 0]
    np.testing.assert_allclose(inside, [16 / 16, 90 / 16], rtol=1e-5)
    np.testing.assert_allclose(at_the_border, [16 / 16, 7], rtol=1e-5)  # the last column
