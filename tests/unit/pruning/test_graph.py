"""Layers that cannot be pruned, and layers that must not be: named, and left whole with what feeds them."""

import keras
import numpy as np
import pytest
from keras import layers

from frcnn.errors import UsageError
from frcnn.model.layers import Conv2D
from frcnn.pruning.graph import trace
from frcnn.pruning.prune import plan_networks
from frcnn.pruning.rewrite import rewrite
from frcnn.pruning.settings import PruneSettings
from tests.unit.pruning.networks import SHAPE, classify, conv, image, network, randomise, silence


def pruned(build, excluded=()):
    x = image()
    whole = network(x, build(x))
    randomise([whole])
    settings = PruneSettings(
        pruning_granularity=1, min_num_filters=1, pruning_threshold=0.6, excluded_layers=excluded
    )
    outcome = plan_networks([whole], settings)
    [narrow] = rewrite([whole], outcome.graph, outcome.plan)
    silence(outcome)
    images = np.random.default_rng(1).normal(size=(2, *SHAPE)).astype("float32")
    np.testing.assert_allclose(narrow(images), whole(images), atol=1e-5)
    return outcome.report, {row.name: row for row in outcome.report.rows}


def whole(row):
    return row.kept == row.total


class Rolled(layers.Layer):
    def call(self, inputs):
        return keras.ops.roll(inputs, 1, axis=-1)


class Scaled(layers.Layer):
    keeps_channels = True

    def call(self, inputs):
        return 2.0 * inputs


class Halves(layers.Layer):
    def call(self, inputs):
        return inputs[..., :4], inputs[..., 4:]


class Colored(Conv2D):
    """A convolution with a weight that no rule knows."""

    def build(self, input_shape):
        super().build(input_shape)
        self.tint = self.add_weight(shape=(self.filters,), name="tint")


def twice(x):
    return 2.0 * x


ODD = {
    "Lambda": (lambda: layers.Lambda(lambda x: 2.0 * x, name="odd"), "through this type of layer"),
    "LayerNormalization": (lambda: layers.LayerNormalization(name="odd"), "through this type of layer"),
    "Rolled": (lambda: Rolled(name="odd"), "through this type of layer"),
    "Conv2D": (lambda: Conv2D(8, 3, groups=2, name="odd"), "its convolution is grouped"),
    "Colored": (
        lambda: Colored(6, 3, name="odd"),
        r"not known which channels its weight tint \(6,\) follows",
    ),
    "Reshape": (lambda: layers.Reshape((8, 16, 4), name="odd"), "mixes places and channels"),
    "Permute": (lambda: layers.Permute((3, 1, 2), name="odd"), "through this type of layer"),
    "BatchNormalization": (lambda: layers.BatchNormalization(axis=1, name="odd"), "normalizes along axis 1"),
    "Activation": (lambda: layers.Activation("softmax", name="odd"), "its activation softmax mixes channels"),
    "Dropout": (
        lambda: layers.Dropout(0.1, noise_shape=(None, 1, 1, 8), name="odd"),
        "its noise_shape fixes the number of channels",
    ),
    "UpSampling2D": (
        lambda: layers.UpSampling2D(1, data_format="channels_first", name="odd"),
        "its channels come first",
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_cannot_be_followed_is_named_and_stays_whole_with_what_feeds_it(kind):
    make, reason = ODD[kind]
    report, rows = pruned(lambda x: classify(conv(make()(conv(conv(x, 8, "far"), 8, "feeds")), 6, "after")))
    [found] = report.unprunable
    assert (found.layer, found.kind) == ("odd", kind)
    assert f"odd ({kind}): " in str(found)
    assert whole(rows["feeds"]) and rows["feeds"].note.startswith(f"tied to odd ({kind}): ")
    assert not whole(rows["far"]) and not whole(rows["after"])
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(found.reason)


def test_layers_with_several_outputs_and_bare_operations_stay_whole():
    def build(x):
        left, right = Halves(name="halves")(conv(x, 8, "a"))
        return classify(conv(left + right, 6, "b"))

    report, rows = pruned(build)
    assert [each.kind for each in report.unprunable] == ["Halves", "Add"]
    assert whole(rows["a"]) and not whole(rows["b"])


def test_a_custom_layer_can_say_that_it_keeps_channels():
    report, rows = pruned(lambda x: classify(Scaled()(conv(x, 8, "a"))))
    assert report.unprunable == ()
    assert not whole(rows["a"])


def test_filters_stay_whose_activation_mixes_channels():
    _, rows = pruned(lambda x: classify(Conv2D(8, 3, activation="softmax", name="soft")(conv(x, 8, "a"))))
    assert whole(rows["soft"]) and rows["soft"].note == "its activation softmax mixes channels"
    assert not whole(rows["a"])


def test_a_layer_stays_whole_whose_activation_is_not_known():
    report, rows = pruned(lambda x: classify(Conv2D(8, 3, activation=twice, name="own")(conv(x, 8, "a"))))
    [found] = report.unprunable
    assert found.layer == "own" and found.reason.startswith("its activation twice is not one of Keras'")
    assert whole(rows["own"]) and whole(rows["a"])


def shortcut(x):
    x = conv(x, 8, "stem")
    return classify(conv(layers.Add(name="sum")([conv(x, 8, "a"), conv(x, 8, "b")]), 6, "after"))


def test_an_excluded_layer_keeps_its_whole_group():
    _, rows = pruned(shortcut, excluded=("a",))
    assert rows["a"].note == "excluded"
    assert rows["b"].note == "tied to a: excluded"
    assert whole(rows["a"]) and whole(rows["b"])
    assert not whole(rows["stem"]) and not whole(rows["after"])


def test_excluding_an_addition_excludes_what_it_adds():
    _, rows = pruned(shortcut, excluded=("sum",))
    assert whole(rows["a"]) and whole(rows["b"]) and not whole(rows["stem"])


def test_an_unknown_layer_in_the_exclusions_gets_the_nearest_name():
    x = image()
    with pytest.raises(UsageError) as caught:
        trace([network(x, shortcut(x))], ["steam", "xyz"])
    first, second = str(caught.value).splitlines()
    assert (
        first
        == "excluded_layers steam: the model has no such layer; did you mean stem? (a dry run lists all)"
    )
    assert second.startswith("excluded_layers xyz: the model has no such layer; layers: image, stem, ")


def test_inputs_and_outputs_keep_their_channels():
    def build(x):
        return [classify(layers.Add(name="sum")([conv(x, 3, "a"), x])), conv(x, 8, "b")]

    _, rows = pruned_outputs(build)
    assert rows["a"].note == "tied to image: an input of the network"
    assert rows["b"].note.endswith("an output of the network")


def pruned_outputs(build):
    x = image()
    model = network(x, build(x))
    outcome = plan_networks(
        [model], PruneSettings(pruning_granularity=1, min_num_filters=1, pruning_threshold=0.9)
    )
    return outcome, {row.name: row for row in outcome.report.rows}


def test_the_first_output_of_a_network_feeds_the_next_and_may_lose_channels():
    x = image()
    body = network(x, [conv(x, 8, "body"), conv(x, 4, "side")])
    crops = keras.Input((4, 4, 8), name="crops")
    head = network(crops, classify(conv(crops, 6, "head")))
    randomise([body, head])
    outcome = plan_networks(
        [body, head],
        PruneSettings(pruning_granularity=1, min_num_filters=1, pruning_threshold=0.6),
        runs=[1, 10],
    )
    narrow_body, narrow_head = rewrite([body, head], outcome.graph, outcome.plan)
    depth = narrow_body.outputs[0].shape[-1]
    assert depth < 8 and narrow_head.inputs[0].shape == (None, 4, 4, depth)
    assert narrow_body.outputs[1].shape[-1] == 4
    kernel = next(row for row in outcome.report.rows if row.name == "head").before
    assert kernel.flops == 2 * 10 * 16 * kernel.params


def test_trainable_flags_and_names_survive():
    x = image()
    model = network(x, classify(conv(conv(x, 8, "a", trainable=False), 8, "b")))
    randomise([model])
    outcome = plan_networks(
        [model], PruneSettings(pruning_granularity=1, min_num_filters=1, pruning_threshold=0.6)
    )
    [narrow] = rewrite([model], outcome.graph, outcome.plan)
    assert not narrow.get_layer("a").trainable and narrow.get_layer("b").trainable
    assert narrow.get_layer("a_bn").trainable
    assert model.get_layer("a").filters == 8, "the original is left as it was"
