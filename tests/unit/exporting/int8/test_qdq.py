"""Pairs of quantization against numpy, against ONNX Runtime's quantizer, and as runtimes want them."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from frcnn.cpu import saturates_int8
from frcnn.exporting.int8.calibration import calibrate
from frcnn.exporting.int8.qdq import insert_pairs
from frcnn.exporting.onnx.standard_graph import INPUT
from tests.support.export_models import noise
from tests.support.quantized import (
    numpy_network,
    run,
    run_openvino,
    saturating_network,
    small_network,
    small_ranges,
)

IMAGES = np.random.default_rng(1).normal(0.0, 1.0, (16, 3, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture(scope="module")
def ranges(network):
    return small_ranges(network, IMAGES)


def initializers(model):
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def nodes(model, op):
    return [node for node in model.graph.node if node.op_type == op]


@pytest.mark.parametrize(
    ("profile", "unsigned", "largest"), [("cpu", True, 64), ("cpu_vnni", True, 127), ("tensorrt", False, 127)]
)
def test_computes_what_numpy_computes(network, ranges, profile, unsigned, largest):
    quantized = insert_pairs(network, ranges, profile)
    onnx.checker.check_model(quantized, full_check=True)
    expected = numpy_network(network, IMAGES, ranges, unsigned=unsigned, largest=largest)
    names = list(expected)
    for name, found, plain in zip(
        names, run(quantized, IMAGES, names), run(network, IMAGES, names), strict=True
    ):
        step = np.abs(expected[name]).max() / 127
        # A value half-way between two levels may fall either way.
        assert np.mean(np.abs(found - expected[name]) > 0.05 * step) < 0.05, name
        assert np.abs(plain - expected[name]).max() > 0.1 * step, name


def test_an_optimized_graph_computes_the_same(network, ranges):
    quantized = insert_pairs(network, ranges, "cpu")
    plain, fast = (run(quantized, IMAGES, ["codes"], optimized=each)[0] for each in (False, True))
    np.testing.assert_allclose(fast, plain, atol=0.05 * np.abs(plain).max())


def test_the_largest_sums_of_the_cpu_profile_are_exact_on_every_cpu():
    network = saturating_network()
    images = np.random.default_rng(1).uniform(0.8, 1.0, (2, 64, 16, 16)).astype(np.float32)
    ranges = small_ranges(network, images)
    quantized = insert_pairs(network, ranges, "cpu")
    exact = run(quantized, images, ["codes"])[0]
    for found in (
        run(quantized, images, ["codes"], optimized=True)[0],
        run_openvino(quantized, images, ["codes"])[0],
    ):
        np.testing.assert_allclose(found, exact, rtol=1e-5)
    # Why it holds on all CPUs: no sum of two products exceeds the 16 bits of those without VNNI.
    kernels = [each for each in initializers(quantized).values() if each.dtype == np.int8 and each.ndim > 1]
    assert 2 * 255 * max(int(np.abs(each.astype(int)).max()) for each in kernels) <= np.iinfo(np.int16).max


def test_weights_of_8_bits_saturate_exactly_on_cpus_without_vnni():
    network = saturating_network()
    images = np.random.default_rng(1).uniform(0.8, 1.0, (2, 64, 16, 16)).astype(np.float32)
    quantized = insert_pairs(network, small_ranges(network, images), "cpu_vnni")
    exact, found = (run(quantized, images, ["codes"], optimized=each)[0] for each in (False, True))
    wrong = np.abs(found - exact).max() > 0.1 * exact.max()
    assert wrong == saturates_int8()


def test_weights_are_stored_in_8_bits_with_a_scale_for_each_channel(network, ranges):
    quantized = insert_pairs(network, ranges, "tensorrt")
    values = initializers(quantized)
    kernels = [each for each in values.values() if each.dtype == np.int8 and each.ndim > 1]
    assert sorted(each.shape for each in kernels) == [(6, 3, 3, 3), (6, 6, 3, 3), (96, 4)]
    for node in nodes(quantized, "DequantizeLinear"):
        if node.output[0].endswith("/weights/dq"):
            (axis,) = (each.i for each in node.attribute)
            assert axis == (1 if "dense" in node.name else 0)
            assert values[node.input[1]].shape == (values[node.input[0]].shape[axis],)
    assert all(np.abs(each.astype(int)).max() == 127 for each in kernels)


def test_tensorrt_gets_signed_levels_round_zero_and_float_biases(network, ranges):
    quantized = insert_pairs(network, ranges, "tensorrt")
    values = initializers(quantized)
    zeros = [values[node.input[2]] for node in nodes(quantized, "QuantizeLinear")]
    assert {each.dtype for each in zeros} == {np.dtype(np.int8)}
    assert not any(each.any() for each in zeros)
    bias = next(node for node in quantized.graph.node if node.name == "bb/conv1").input[2]
    assert values[bias].dtype == np.float32


def test_cpu_gets_zero_points_of_zero_where_nothing_is_negative(network, ranges):
    values = initializers(insert_pairs(network, ranges, "cpu"))
    zeros = {name: int(values[f"{name}/zero_point"]) for name in ("first", "pooled", "features", "second")}
    assert zeros.pop("second") > 0
    assert set(zeros.values()) == {0}
    # Symmetric ranges, as training learns them, must not waste half of the levels.
    symmetric = {name: (-max(map(abs, limits)), max(map(abs, limits))) for name, limits in ranges.items()}
    again = initializers(insert_pairs(network, symmetric, "cpu"))
    assert int(again["first/zero_point"]) == 0
    assert again["first/scale"] == pytest.approx(values["first/scale"])


def test_a_pooled_tensor_keeps_the_levels_of_its_source(network, ranges):
    values = initializers(insert_pairs(network, ranges | {"pooled": (0.0, 99.0)}, "cpu"))
    assert values["pooled/scale"] == values["first/scale"]


def test_what_leaves_a_network_and_what_is_outside_stays_float(network, ranges):
    quantized = insert_pairs(network, ranges, "cpu")
    rounded = {node.input[0] for node in nodes(quantized, "QuantizeLinear")}
    # `second` is between two chosen nodes; `sum` is not: its ReLU is computed with it.
    assert rounded == {INPUT, "first", "pooled", "second", "features", "row"}
    outside = next(node for node in quantized.graph.node if node.name == "proposals/Conv")
    assert initializers(quantized)[outside.input[1]].dtype == np.float32


def test_a_node_without_a_known_range_stays_float(network, ranges):
    known = {name: limits for name, limits in ranges.items() if name != "second"}
    quantized = insert_pairs(network, known, "tensorrt")
    total = next(node for node in quantized.graph.node if node.name == "bb/add")
    assert total.input[0] == "second"
    assert insert_pairs(network, {}, "cpu") == network


def test_a_bias_too_large_for_32_bits_makes_the_weights_coarser(network, ranges):
    copy = onnx.ModelProto()
    copy.CopyFrom(network)
    values = initializers(copy)
    kernel, bias = (values[name] for name in copy.graph.node[0].input[1:])
    kernel, bias = kernel.copy(), bias.copy()
    kernel[0], bias[0] = 1e-9, 3.0
    for each in copy.graph.initializer:
        if each.name in copy.graph.node[0].input[1:]:
            each.CopyFrom(numpy_helper.from_array(kernel if each.name.endswith("0") else bias, each.name))
    quantized = insert_pairs(copy, ranges, "cpu")
    found = run(quantized, IMAGES, ["first"], optimized=True)[0][:, 0]
    np.testing.assert_allclose(found, 3.0, rtol=1e-3)


def test_limits_of_weights_can_be_given_for_all_channels_or_each(network, ranges):
    for given in (np.float32(0.5), np.linspace(0.1, 0.6, 6, dtype=np.float32)):
        values = initializers(insert_pairs(network, ranges, "tensorrt", {"bb/conv1": given}))
        np.testing.assert_allclose(
            values["bb/conv1/weights/scale"], np.broadcast_to(given / 127, 6), rtol=1e-6
        )


def test_dense_weights_may_be_stored_either_way(ranges):
    network = small_network()
    twin = small_network()
    node = next(each for each in twin.graph.node if each.name == "bb/dense")
    stored = next(each for each in twin.graph.initializer if each.name == node.input[1])
    stored.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(stored).T.copy(), stored.name))
    node.op_type = "Gemm"
    node.attribute.append(onnx.helper.make_attribute("transB", 1))
    expected, found = (
        run(insert_pairs(each, ranges, "tensorrt"), IMAGES, ["codes"])[0] for each in (network, twin)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.fixture(scope="module")
def detector(exported):
    """A detector in float, some images, and the ranges on them."""
    model = onnx.load(exported.folder / "model.onnx")
    images = noise(np.random.default_rng(0), 3, exported.spec).transpose(0, 3, 1, 2).copy()
    return model, images, calibrate(model, [images], 3, "minmax")


def test_onnx_runtime_computes_all_convolutions_in_integers_but_the_last(detector, tmp_path):
    model, _, ranges = detector
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # a warning says that the file below is for this machine only
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    quantized = insert_pairs(model, ranges, "cpu")
    onnxruntime.InferenceSession(quantized.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    convolutions = len(nodes(model, "Conv"))
    # The RPN's two outputs are wanted in float.
    assert (convolutions, found["QLinearConv"]) == (16, 14)
    assert found["QLinearAdd"] == 4


def test_a_detectors_scores_are_those_of_exact_arithmetic(detector):
    model, images, ranges = detector
    quantized = insert_pairs(model, ranges, "cpu")
    exact, found = (run(quantized, images, ["rpn_scores"], optimized=each)[0] for each in (False, True))
    # A value half-way between two levels may fall either way; saturated sums are off by tenths.
    assert np.abs(found - exact).max() < 0.02
    assert np.abs(found - exact).mean() < 0.002


@pytest.mark.parametrize(("profile", "reduced"), [("cpu", True), ("cpu_vnni", False)])
def test_is_as_near_to_float_as_onnx_runtimes_quantizer(network, ranges, tmp_path, profile, reduced):
    from onnxruntime.quantization import QuantType, quantize_static

    onnx.save(network, tmp_path / "network.onnx")
    left = [{INPUT: IMAGES}]
    reader = type("Reader", (), {"get_next": lambda self: left.pop() if left else None})()
    quantize_static(
        tmp_path / "network.onnx",
        tmp_path / "theirs.onnx",
        reader,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=reduced,
        nodes_to_quantize=[each.name for each in network.graph.node if each.name.startswith("bb/")],
    )
    ours, theirs = insert_pairs(network, ranges, profile), onnx.load(tmp_path / "theirs.onnx")
    exact, near, other = (run(each, IMAGES, ["codes"])[0] for each in (network, ours, theirs))
    noise_of_ours, noise_of_theirs = (np.square(each - exact).mean() for each in (near, other))
    assert noise_of_ours < 1.1 * noise_of_theirs
    assert noise_of_ours < 0.001 * np.square(exact).mean()
