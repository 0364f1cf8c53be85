"""Detectors of quantization-aware training: what is rounded where, and the ways there and back."""

import dataclasses

import keras
import numpy as np
import pytest

from frcnn.model.build import build
from frcnn.model.files.checkpoint import load_model, save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.model.qat.insert import from_qat, is_qat, set_per_channel, to_qat
from frcnn.model.qat.layers import QDQ
from frcnn.pruning.prune import prune
from frcnn.pruning.settings import PruneSettings
from frcnn.settings.model import model_settings
from frcnn.spec import load_experiment
from frcnn.spec.schema.model import RoiPoolingConfig
from tests.support.task_spec import write_spec
from tests.unit.pruning.networks import randomise

ANSWERS = ("rpn_out_class", "rpn_out_regress", "dense_class_td", "dense_regress_td")


@pytest.fixture(scope="module")
def float_model(tmp_path_factory):
    """Builds a detector of an architecture with random weights; its normalization never learns."""
    spec = load_experiment(write_spec(tmp_path_factory.mktemp("spec") / "spec.txt"))
    made = {}

    def model(arch="resnet:10", **options):
        key = (arch, *sorted(options.items()))
        if key not in made:
            config = dataclasses.replace(spec.model_config, arch=arch, freeze_bn=True, **options)
            made[key] = build(model_settings(dataclasses.replace(spec, model_config=config)))
            randomise([made[key].features, made[key].roi_head], seed=1)
        return made[key]

    return model


def layers_of(model):
    return [*model.features.layers, *model.roi_head.layers]


def chain(network, *names):
    """Names of the layers behind the named ones up to the next named one, in the network's order."""
    order = [layer.name for layer in network.layers]
    return order[order.index(names[0]) : order.index(names[-1]) + 1]


def ranges(network):
    return {layer.name.removesuffix("_qdq") for layer in network.layers if isinstance(layer, QDQ)}


def test_a_resnet_rounds_what_the_table_says(float_model):
    model = to_qat(float_model())
    body = {"input_image", "conv1_relu", "rpn_conv1_act"}
    units = ("relu_1", "bn_2", "bn_shortcut", "add", "relu")
    assert ranges(model.features) == body | {f"block_{i}a_{unit}" for i in (1, 2, 3) for unit in units}
    assert ranges(model.roi_head) == {"crops", "avg_pool"} | {f"block_4a_{unit}" for unit in units}
    # The feature map is rounded; what goes to box arithmetic is not.
    makers = [
        tensor._keras_history.operation for tensor in (*model.features.outputs, *model.roi_head.outputs)
    ]
    assert [maker.name for maker in makers] == ["block_3a_relu_qdq", *ANSWERS]


def test_pooling_and_padding_hand_on_what_is_rounded(float_model):
    model = to_qat(float_model("resnet:18", use_pooling=True))
    stem = chain(model.features, "conv1", "block_1a_conv_1")
    assert stem == [
        "conv1",
        "bn_conv1",
        "conv1_relu",
        "conv1_relu_qdq",
        "pool1_pad",
        "pool1",
        "block_1a_conv_1",
    ]
    assert model.features.get_layer("pool1_pad").input is model.features.get_layer("conv1_relu_qdq").output


def test_an_inverted_residual_rounds_what_the_table_says(float_model):
    model = to_qat(float_model("mobilenet_v2"))
    assert chain(model.features, "block_2_expand", "block_2_add") == [
        *("block_2_expand", "block_2_expand_bn", "block_2_expand_relu", "block_2_expand_relu_qdq"),
        *("block_2_depthwise_pad", "block_2_depthwise", "block_2_depthwise_bn"),
        *("block_2_depthwise_relu", "block_2_depthwise_relu_qdq"),
        *("block_2_project", "block_2_project_bn", "block_2_project_bn_qdq", "block_2_add"),
    ]
    assert "block_2_add" in ranges(model.features)
    kinds = {layer.name: type(layer).__name__ for layer in layers_of(model)}
    assert kinds["block_2_expand"] == "QuantizedConv2D"
    assert kinds["block_2_depthwise"] == "QuantizedDepthwiseConv2D"
    assert kinds["dense_class_td"] == kinds["dense_regress_td"] == "QuantizedDense"


def test_a_leaky_rectifier_is_no_rectifier(float_model):
    model = to_qat(float_model("darknet:19"))
    assert chain(model.features, "b1_conv1", "maxpool_2") == [
        *("b1_conv1", "b1_conv1_bn", "b1_conv1_bn_qdq", "b1_conv1_lrelu", "b1_conv1_lrelu_qdq", "maxpool_2"),
    ]


def test_squeeze_and_excite_rounds_before_and_after_its_gate(float_model):
    model = to_qat(float_model("efficientnet:b0"))
    assert chain(model.features, "block2a_bn", "block2a_project_conv") == [
        *("block2a_bn", "block2a_bn_qdq", "block2a_activation", "block2a_activation_qdq"),
        *("block2a_se_squeeze", "block2a_se_squeeze_qdq", "block2a_se_reduce", "block2a_se_reduce_qdq"),
        *("block2a_se_activation", "block2a_se_activation_qdq", "block2a_se_expand", "block2a_se_expand_qdq"),
        *("block2a_se_expand_act", "block2a_se_expand_act_qdq", "block2a_se_excite"),
        *("block2a_se_excite_qdq", "block2a_project_conv"),
    ]
    gate = model.features.get_layer("block2a_se_expand_act")
    assert gate.activation is keras.activations.sigmoid
    assert model.features.get_layer("block2a_se_expand").activation is keras.activations.linear
    # Taken apart, the gate stays a layer of its own; made anew it is rounded at the same places.
    again = to_qat(from_qat(model).model)
    assert [layer.name for layer in layers_of(again)] == [layer.name for layer in layers_of(model)]


def test_convolutions_and_dense_layers_with_their_own_rectifier(float_model):
    model = to_qat(float_model("vgg16", roi_pooling_config=RoiPoolingConfig(pool_size=2)))
    assert chain(model.features, "block1_conv1", "block2_conv1")[:5] == [
        *("block1_conv1", "block1_conv1_act_qdq", "block1_conv2", "block1_conv2_act_qdq", "block1_pool"),
    ]
    assert chain(model.roi_head, "crops", "dense_class_td") == [
        *("crops", "crops_qdq", "time_distributed_flatten"),
        *(f"fc1{each}" for each in ("", "_qdq", "_act", "_act_qdq")),
        *(f"fc2{each}" for each in ("", "_qdq", "_act", "_act_qdq")),
        "dense_class_td",
    ]


def images():
    return np.random.default_rng(5).normal(size=(2, 128, 160, 3)).astype(np.float32)


def outputs(model, training=False):
    """Returns the outputs of both networks for images and for crops like those of the feature map."""
    features, scores, codes = model(images(), training=training)
    depth = model.roi_head.inputs[0].shape[1:]
    crops = np.abs(np.random.default_rng(6).normal(size=(6, *depth))).astype(np.float32)
    return [np.asarray(each) for each in (features, scores, codes, *model.roi_head(crops, training=training))]


def decibels(values, exact):
    """Signal to noise."""
    return 10 * np.log10(np.square(exact).mean() / np.square(values - exact).mean())


@pytest.fixture(scope="module")
def trained(float_model):
    """A QAT model whose ranges have seen the images."""
    model = to_qat(float_model())
    outputs(model, training=True)
    return model


def test_it_answers_as_the_float_model_but_for_rounding(float_model, trained):
    exact = outputs(float_model())
    found = outputs(trained)
    noise = [decibels(one, other) for one, other in zip(found, exact, strict=True)]
    # 8 bits of a normal distribution that is cut at 5 sigma are 39 dB; and there are a dozen layers.
    assert 30.0 < noise[0] < 39.0
    # The answers are sums of many, far from 0 with random weights, so their noise is smaller.
    assert min(noise[1:]) > 30.0


def test_a_range_a_filter_makes_kernels_less_noisy(float_model):
    for layer in layers_of(to_qat(float_model("resnet:10"))):
        if not hasattr(layer, "kernel"):
            continue
        exact, coarse = np.asarray(layer.kernel), np.asarray(layer.effective_kernel())
        layer.per_channel = True
        fine = np.asarray(layer.effective_kernel())
        # The filters' sizes are spread from 0.05 to 1.
        gain = 1.0 if exact.shape[-1] > 16 else 0.0
        assert decibels(fine, exact) >= decibels(coarse, exact) + gain, layer.name


def test_a_file_can_change_from_one_range_a_kernel_to_one_a_filter(float_model):
    model = to_qat(float_model())
    set_per_channel(model, True)
    assert [layer.get_config() for layer in layers_of(model)] == [
        layer.get_config() for layer in layers_of(to_qat(float_model(), per_channel=True))
    ]


def test_the_float_model_is_left_as_it_was_and_weights_are_the_same(float_model, trained):
    model = float_model()
    assert not is_qat(model)
    assert is_qat(trained)
    quantized = {layer.name: layer for layer in layers_of(trained)}
    for layer in layers_of(model):
        for old, new in zip(layer.weights, quantized[layer.name].weights, strict=True):
            np.testing.assert_array_equal(old, new)
    assert [v.path.split("/")[-2:] for v in trained.trainable_variables] == [
        v.path.split("/")[-2:] for v in model.trainable_variables
    ]
    with pytest.raises(ValueError, match="quantized already"):
        to_qat(trained)


def test_taken_apart_it_has_the_float_models_layers_and_the_rounded_kernels(float_model, trained):
    found, model = from_qat(trained), float_model()
    assert not is_qat(found.model)
    plain = [(layer.name, type(layer)) for layer in layers_of(model)]
    assert [(layer.name, type(layer)) for layer in layers_of(found.model)] == plain
    for layer in layers_of(found.model):
        source = next(each for each in layers_of(trained) if each.name == layer.name)
        assert layer.get_config() == next(e for e in layers_of(model) if e.name == layer.name).get_config()
        if layer.name in found.weight_limits:
            limits = found.weight_limits[layer.name]
            assert limits.shape == (layer.kernel.shape[-1],)
            steps = np.asarray(layer.kernel) / limits * 127
            np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
            assert np.abs(np.asarray(layer.kernel - source.kernel)).max() <= limits.max() / 254 * 1.001
    assert set(found.weight_limits) == {layer.name for layer in layers_of(model) if hasattr(layer, "kernel")}
    assert min(decibels(a, b) for a, b in zip(outputs(found.model), outputs(trained), strict=True)) > 15.0


def test_scales_go_by_the_layer_whose_result_they_are_of(trained):
    found = from_qat(trained)
    names = [layer.name for layer in layers_of(found.model)]
    assert list(found.tensor_scales) == [name for name in names if name in found.tensor_scales]
    assert set(names) - set(found.tensor_scales) == {
        *("conv1", "bn_conv1", *ANSWERS),
        *(
            f"block_{i}a_{each}"
            for i in (1, 2, 3, 4)
            for each in ("conv_1", "bn_1", "conv_2", "conv_shortcut")
        ),
    }
    factors = {
        layer.name: float(layer.scaling_factor) for layer in layers_of(trained) if isinstance(layer, QDQ)
    }
    assert found.tensor_scales["input_image"] == pytest.approx(np.abs(images()).max())
    assert found.tensor_scales["rpn_conv1"] == factors["rpn_conv1_act_qdq"]
    assert found.tensor_scales["block_2a_add"] == factors["block_2a_add_qdq"]
    # What only moves values has the range of what it moves.
    assert found.tensor_scales["time_distributed_flatten"] == factors["avg_pool_qdq"]


def test_each_filter_has_its_own_limit_where_training_was_per_channel(float_model):
    model = to_qat(float_model(), per_channel=True)
    found = from_qat(model)
    kernel = np.asarray(float_model().features.get_layer("block_2a_conv_1").kernel)
    np.testing.assert_array_equal(found.weight_limits["block_2a_conv_1"], np.abs(kernel).max(axis=(0, 1, 2)))


def test_saved_and_loaded_it_answers_the_same(trained, tmp_path):
    path = tmp_path / "model.keras"
    save_model(trained, path, TrainingRecord("resnet:10", ("car", "person")))
    loaded, _ = load_model(path)
    for one, other in zip(outputs(loaded), outputs(trained), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [layer.get_config() for layer in layers_of(loaded)] == [
        layer.get_config() for layer in layers_of(trained)
    ]


@pytest.mark.parametrize("arch", ["resnet:10", pytest.param("mobilenet_v2", marks=pytest.mark.slow)])
def test_pruning_and_quantizing_can_come_in_either_order(float_model, arch):
    settings = PruneSettings(pruning_threshold=0.6)
    pruned_first = to_qat(prune(float_model(arch), settings).model)
    quantized_first = prune(to_qat(float_model(arch)), settings)
    assert not quantized_first.report.unprunable
    assert quantized_first.report.pruning_ratio < 0.9
    for one, other in zip(layers_of(quantized_first.model), layers_of(pruned_first), strict=True):
        assert (one.name, type(one)) == (other.name, type(other))
        for weight, peer in zip(one.weights, other.weights, strict=True):
            np.testing.assert_array_equal(weight, peer)


def test_a_pruned_qat_model_keeps_its_ranges_and_can_be_pruned_again(trained):
    pruned = prune(trained, PruneSettings(pruning_threshold=0.6)).model
    assert from_qat(pruned).tensor_scales == from_qat(trained).tensor_scales
    again = prune(pruned, PruneSettings(pruning_threshold=0.9)).model
    assert again.count_params() < pruned.count_params() < trained.count_params()
    assert is_qat(again)
