"""Weights of a fresh detector."""

import dataclasses
import math

import keras
import numpy as np
import pytest

from frcnn.model.build import build
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import Conv2D
from frcnn.settings.model import model_settings
from tests.support.toy_training import toy_spec

RPN = ("rpn_conv1", "rpn_out_class", "rpn_out_regress")


@pytest.fixture(params=["resnet:18", "mobilenet_v2", "efficientnet:b0"], scope="module")
def detector(request, tmp_path_factory) -> FasterRCNN:
    spec = toy_spec(tmp_path_factory.mktemp("toy"), images=1, validation=1)
    model = dataclasses.replace(spec.model_config, arch=request.param)
    keras.utils.set_random_seed(3)
    return build(model_settings(dataclasses.replace(spec, model_config=model)))


def kernels(detector, kind):
    layers = [*detector.features.layers, *detector.roi_head.layers]
    return {each.name: np.asarray(each.kernel) for each in layers if isinstance(each, kind)}


def test_convolutions_of_the_backbone_start_as_he_et_al_have_it(detector):
    found = {name: each for name, each in kernels(detector, Conv2D).items() if name not in RPN}
    assert len(found) >= 20
    for name, kernel in found.items():
        expected = math.sqrt(2.0 / (kernel.shape[0] * kernel.shape[1] * kernel.shape[3]))
        error = 4.0 * expected / math.sqrt(2.0 * kernel.size)  # four standard errors of a deviation
        assert kernel.std() == pytest.approx(expected, abs=error), name
        assert abs(kernel.mean()) < 4.0 * expected / math.sqrt(kernel.size), name


def test_the_rpn_starts_with_a_standard_deviation_of_a_hundredth(detector):
    found = kernels(detector, Conv2D)
    for name in RPN:
        error = 4.0 * 0.01 / math.sqrt(2.0 * found[name].size)
        assert found[name].std() == pytest.approx(0.01, abs=error), name


def test_the_last_layers_of_the_head_start_within_one_by_the_root_of_their_inputs(detector):
    for name, kernel in kernels(detector, keras.layers.Dense).items():
        limit = 1.0 / math.sqrt(kernel.shape[0])
        assert 0.98 * limit < np.abs(kernel).max() <= limit, name
        assert kernel.std() == pytest.approx(limit / math.sqrt(3.0), rel=0.05), name
