import numpy as np
import pytest
from onnx import TensorProto, helper

from frcnn.errors import ModelError
from frcnn.exporting.int8.calibration import calibrate
from frcnn.exporting.onnx.graph_builder import GraphBuilder
from frcnn.exporting.onnx.standard_graph import INPUT
from tests.support.quantized import small_network, small_ranges

IMAGES = np.random.default_rng(1).normal(0.0, 1.0, (4, 3, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def network():
    return small_network()


def test_minmax_keeps_the_extremes_over_all_images(network):
    exact = small_ranges(network, IMAGES)
    found = calibrate(network, [IMAGES[:3], IMAGES[3:]], 4, "minmax")
    assert set(found) == {INPUT, "bb/conv1:0", "first", "pooled", "second", "sum", "features", "row", "codes"}
    for name, limits in found.items():
        assert limits == pytest.approx(exact.get(name, limits), rel=1e-5), name


def test_percentile_and_entropy_cut_off_an_outlier():
    graph = GraphBuilder()
    graph.add("Relu", INPUT, name="bb/relu", output="out")
    shape = ["batch", 3, 8, 8]
    source, target = (
        helper.make_tensor_value_info(each, TensorProto.FLOAT, shape) for each in (INPUT, "out")
    )
    network = graph.model("one", [source], [target], {"": 18})
    images = IMAGES.repeat(8, axis=0)
    images[0, 0, 0, 0] = 100.0
    low, high = calibrate(network, [images], 32, "minmax")[INPUT]
    assert (low, high) == pytest.approx((IMAGES.min(), 100.0))
    for method, limit in (("percentile", 101.0), ("entropy", 50.0)):
        low, high = calibrate(network, [images], 32, method)[INPUT]
        assert np.quantile(IMAGES, 0.99) < high < limit, method
        assert low == pytest.approx(IMAGES.min(), rel=0.1), method


def test_values_that_are_not_finite_are_an_error(network):
    images = IMAGES.copy()
    images[0, 0, 0, 0] = np.inf
    with pytest.raises(ModelError, match=r"tensor \S+ has values that are not finite"):
        calibrate(network, [images], 4, "minmax")
