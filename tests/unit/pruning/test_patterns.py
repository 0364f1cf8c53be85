"""Proof on every pattern: a network with the removed filters zeroed computes what the pruned one does."""

import keras
import numpy as np
import pytest
from keras import layers

from frcnn.model.layers import Conv2D
from frcnn.pruning.prune import plan_networks
from frcnn.pruning.rewrite import rewrite
from frcnn.pruning.settings import PruneSettings
from tests.unit.pruning.networks import SHAPE, classify, conv, image, network, randomise, silence


def plain(x):
    return classify(conv(conv(x, 8, "a"), 6, "b"))


def vgg(x):
    x = layers.MaxPooling2D(2)(conv(x, 8, "a"))
    x = layers.Dropout(0.5)(layers.Dense(12, activation="relu", name="fc1")(layers.Flatten()(x)))
    return layers.Dense(3)(layers.Dense(10, activation="relu", name="fc2")(x))


def residual_with_identities(x):
    x = conv(x, 8, "stem")
    for unit in "ab":
        y = conv(conv(x, 6, f"{unit}1"), 8, f"{unit}2", activation="linear")
        x = layers.ReLU()(layers.Add()([y, x]))
    return classify(layers.GlobalAveragePooling2D()(x))


def residual_with_projection(x):
    x = conv(x, 8, "stem")
    y = conv(x, 10, "a", activation="linear", strides=2)
    x = layers.Add()([y, conv(x, 10, "shortcut", kernel=1, activation="linear", strides=2)])
    return classify(layers.LeakyReLU(0.1)(x))


def inverted_residual(x):
    x = conv(x, 6, "stem")
    y = conv(x, 12, "expand", kernel=1)
    y = layers.DepthwiseConv2D(3, padding="valid", use_bias=False, name="dw")(layers.ZeroPadding2D(1)(y))
    y = layers.ReLU()(layers.BatchNormalization(name="dw_bn")(y))
    return classify(layers.Add()([x, conv(y, 6, "project", kernel=1, activation="linear")]))


def depthwise_with_a_multiplier_of_two(x):
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu", name="dw")(conv(x, 8, "a"))
    return classify(conv(x, 6, "b", kernel=1))


def inception(x):
    x = conv(x, 8, "stem")
    pool = layers.MaxPooling2D(3, strides=1, padding="same")(x)
    branches = [conv(x, 6, "b1", 1), conv(conv(x, 4, "b2_reduce", 1), 8, "b2"), conv(pool, 4, "b3", 1)]
    x = layers.Concatenate(name="mixed")(branches)
    return classify(conv(x, 6, "after"))


def squeeze_and_excite(x):
    x = conv(x, 8, "expand", kernel=1, activation="swish")
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="dw")(x)
    x = layers.Activation("swish")(layers.BatchNormalization(name="dw_bn")(x))
    s = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    s = Conv2D(4, 1, activation="swish", name="se_reduce")(s)
    s = Conv2D(8, 1, activation="sigmoid", name="se_expand")(s)
    return classify(conv(layers.Multiply()([x, s]), 6, "project", kernel=1, activation="linear"))


def concatenation_added_to_a_convolution(x):
    both = layers.Concatenate()([conv(x, 4, "a"), conv(x, 6, "b")])
    return classify(layers.Add()([both, conv(x, 10, "c")]))


def concatenations_added_across_their_seams(x):
    left = layers.Concatenate()([conv(x, 4, "a"), conv(x, 8, "b")])
    right = layers.Concatenate()([conv(x, 8, "c"), conv(x, 4, "d")])
    return classify(conv(layers.Add()([left, right]), 4, "after"))


def flattened_maps_added(x):
    x = layers.AveragePooling2D(4)(conv(x, 8, "stem"))
    left, right = layers.Flatten()(conv(x, 6, "a")), layers.Flatten()(conv(x, 6, "b"))
    return layers.Dense(3)(layers.Add()([left, right]))


def flattened_map_added_to_a_dense_layer(x):
    x = layers.AveragePooling2D(4)(conv(x, 8, "stem"))
    flat = layers.Flatten()(conv(x, 4, "a"))
    return layers.Dense(3)(layers.Add()([flat, layers.Dense(16, name="fc")(layers.Flatten()(x))]))


def reshapes(x):
    x = conv(x, 8, "a")
    x = layers.Reshape((64, 8))(x)
    x = layers.Reshape((-1,))(x)
    x = layers.Reshape((8, 8, 8))(x)
    x = layers.Reshape((4, 16, -1))(conv(x, 6, "b"))
    return layers.Dense(3)(layers.Reshape((8 * 8 * 6,))(x))


def one_convolution_used_twice(x):
    shared = Conv2D(8, 3, activation="relu", name="shared")
    x = conv(x, 8, "stem")
    return classify(layers.Concatenate()([shared(x), shared(conv(x, 8, "a"))]))


def one_activation_used_twice(x):
    relu = layers.ReLU()
    return classify(relu(conv(relu(conv(x, 8, "a", activation="linear")), 6, "b", activation="linear")))


def attention_of_one_channel(x):
    x = conv(x, 8, "a")
    return classify(conv(layers.Multiply()([x, Conv2D(1, 1, activation="sigmoid", name="map")(x)]), 6, "b"))


def odds_and_ends(x):
    x = layers.SpatialDropout2D(0.1)(layers.UpSampling2D(2)(conv(x, 8, "a")))
    x = layers.Cropping2D(2)(layers.GaussianNoise(0.1)(layers.ELU()(x)))
    x = layers.Maximum()([x, layers.Identity()(conv(x, 8, "b"))])
    return classify(layers.Average()([x, conv(x, 8, "c")]))


def maps_side_by_side(x):
    x = layers.Concatenate(axis=1)([conv(x, 8, "a"), conv(x, 8, "b")])
    return classify(conv(x, 6, "c"))


PATTERNS = [
    *(plain, vgg, residual_with_identities, residual_with_projection, inverted_residual, inception),
    *(depthwise_with_a_multiplier_of_two, squeeze_and_excite, concatenation_added_to_a_convolution),
    *(concatenations_added_across_their_seams, flattened_maps_added, flattened_map_added_to_a_dense_layer),
    *(reshapes, one_convolution_used_twice, one_activation_used_twice, attention_of_one_channel),
    *(odds_and_ends, maps_side_by_side),
]


def pruned(build, threshold=0.6, **settings):
    x = image()
    whole = network(x, build(x))
    randomise([whole])
    options = {
        "pruning_granularity": 1,
        "min_num_filters": 1,
        "pruning_threshold": threshold,
        "equalization_criterion": "intersection",
    }
    options |= settings
    outcome = plan_networks([whole], PruneSettings(**options))
    [narrow] = rewrite([whole], outcome.graph, outcome.plan)
    return whole, narrow, outcome


def widths(outcome):
    return {row.name: (row.kept, row.total) for row in outcome.report.rows if row.has_filters}


@pytest.mark.parametrize("build", PATTERNS, ids=lambda build: build.__name__)
def test_the_pruned_network_computes_what_the_silenced_one_does(build):
    whole, narrow, outcome = pruned(build)
    lost = [name for name, (kept, total) in widths(outcome).items() if kept < total]
    free = [row.name for row in outcome.report.rows if row.has_filters and not row.note and row.total > 1]
    assert set(lost) == set(free), "every layer that may lose filters should, at this threshold"
    images = np.random.default_rng(1).normal(size=(2, *SHAPE)).astype("float32")
    before = whole.predict_on_batch(images)
    silence(outcome)
    expected = whole.predict_on_batch(images)
    assert np.abs(expected - before).max() > 1e-3, "the removed filters did not matter: nothing is proved"
    np.testing.assert_allclose(narrow.predict_on_batch(images), expected, atol=1e-5)
    assert narrow.count_params() == outcome.report.after.params < outcome.report.before.params
    assert [layer.name for layer in narrow.layers] == [layer.name for layer in whole.layers]


@pytest.mark.parametrize("criterion", ["union", "arithmetic_mean", "geometric_mean"])
def test_every_criterion_keeps_tied_layers_in_step(criterion):
    whole, narrow, outcome = pruned(residual_with_identities, 0.95, equalization_criterion=criterion)
    kept = widths(outcome)
    assert kept["stem"] == kept["a2"] == kept["b2"] < (8, 8)
    images = np.ones((1, *SHAPE), "float32")
    silence(outcome)
    np.testing.assert_allclose(narrow.predict_on_batch(images), whole.predict_on_batch(images), atol=1e-5)


def test_layers_tied_by_a_concatenation_are_pruned_in_parts():
    _, _, outcome = pruned(concatenation_added_to_a_convolution, pruning_granularity=2, min_num_filters=2)
    kept = {name: count for name, (count, _) in widths(outcome).items()}
    assert kept["c"] == kept["a"] + kept["b"]
    assert all(count % 2 == 0 for name, count in kept.items() if name != "answer")


def test_a_layer_of_one_filter_is_left_alone_and_binds_nobody():
    _, _, outcome = pruned(attention_of_one_channel)
    assert widths(outcome)["map"] == (1, 1)
    assert widths(outcome)["a"][0] < 8


def test_convolutions_over_sequences_and_volumes_are_pruned_too():
    x = keras.Input((16, 3))
    y = layers.Conv1D(8, 3, activation="relu", name="a")(x)
    whole = network(x, classify(layers.MaxPooling1D(2)(y)))
    randomise([whole])
    outcome = plan_networks(
        [whole], PruneSettings(pruning_granularity=1, min_num_filters=1, pruning_threshold=0.6)
    )
    [narrow] = rewrite([whole], outcome.graph, outcome.plan)
    silence(outcome)
    values = np.random.default_rng(0).normal(size=(2, 16, 3)).astype("float32")
    assert narrow.get_layer("a").filters < 8
    np.testing.assert_allclose(narrow.predict_on_batch(values), whole.predict_on_batch(values), atol=1e-5)
