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


def test_four_samples_are_the_mean_of_a_crop_of_twice_the_size():
    maps = tf.random.stateless_normal([1, 8, 8, 2], [1, 2])
    rois = tf.constant([[[8.0, 16.0, 100.0, 90.0]]])
    fine = faster_rcnn.crop_and_resize(maps, rois, 128, 128, 4, 16)
    with TRAITS["four_samples"]():
        found = faster_rcnn.crop_and_resize(maps, rois, 128, 128, 2, 16, by_stride=False)
    expected = np.reshape(fine, (1, 2, 2, 2, 2, 2)).mean(axis=(2, 4))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_antialiasing_averages_the_pixels_that_it_drops():
    stripes = tf.tile(tf.constant([0.0, 255.0])[None, :, None], [64, 32, 3])
    with TRAITS["antialias"]():
        smooth = preprocess.stretch(stripes, 8, 8)
    np.testing.assert_allclose(smooth, 127.5, atol=20.0)
