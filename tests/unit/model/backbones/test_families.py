"""All families: published parameter counts, shapes, strides, freezing, names."""

import dataclasses
import sys

import keras
import numpy as np
import pytest

from frcnn.errors import ModelError
from frcnn.model import backbones
from frcnn.model.backbones import BackboneOptions, backbone
from frcnn.model.build import build
from frcnn.model.keras_detector import KerasDetector
from frcnn.settings.model import detection_settings, model_settings
from frcnn.spec.archs import ARCHS, FAMILIES, Family, drop_connect_limit, family_of
from tests.support.toy_training import HEIGHT, WIDTH, toy_spec

# As docs/backbones.md shows it.
TOY = '''
"""A body of one convolution and a head of one average."""

from frcnn.model.backbones.base import conv_bn, pooled_vector


class Toy:
    def __init__(self, options):
        self.options = options

    def body(self, image):
        return conv_bn(image, self.options, 0, ("toy_conv", "toy_bn"), 8, 17, strides=16)

    def head(self, crops, downsample):
        return pooled_vector(crops)


def create(variant, options):
    return Toy(options)
'''

# Trainable parameters without the classifier, as Keras Applications (VGG16 and 19 with their two dense
# layers, MobileNets, EfficientNets, ResNet101 less the 64 stem biases that use_bias: false takes away)
# and the Darknet authors (53) count them; BN makes two more a filter where the publication has biases.
PUBLISHED = {
    "vgg16": 134_260_544,
    "resnet101": 42_552_832 - 64,
    "mobilenet_v1": 3_206_976,
    "mobilenet_v2": 2_223_872,
    "efficientnet:b0": 4_007_548,
    "efficientnet:b1": 6_513_184,
    "darknet:53": 40_584_928,
}
SHAPES = {
    "vgg:16": (512, 4096),
    "vgg:19": (512, 4096),
    "vgg16": (512, 4096),
    "googlenet": (832, 1024),
    "mobilenet_v1": (512, 1024),
    "mobilenet_v2": (96, 1280),
    "darknet:19": (512, 1024),
    "darknet:53": (512, 1024),
    "resnet101": (1024, 2048),
    "efficientnet:b0": (112, 1280),
    "efficientnet:b1": (112, 1280),
}


def body_of(arch: str, rows: int = 64, columns: int = 96, **options: object) -> keras.Model:
    image = keras.Input((rows, columns, 3))
    return keras.Model(image, backbone(arch, BackboneOptions(**options)).body(image))


def head_of(arch: str, channels: int, side: int = 7, **options: object) -> keras.Model:
    crops = keras.Input((side, side, channels))
    return keras.Model(crops, backbone(arch, BackboneOptions(**options)).head(crops, downsample=side == 14))


def trainable(model: keras.Model) -> int:
    return sum(weight.value.shape.num_elements() for weight in model.trainable_weights)


@pytest.mark.parametrize("arch", sorted(PUBLISHED))
def test_parameters_are_as_published(arch):
    assert trainable(body_of(arch)) + trainable(head_of(arch, SHAPES[arch][0])) == PUBLISHED[arch]


@pytest.mark.parametrize("arch", sorted(SHAPES))
def test_the_body_has_stride_16_and_the_head_gives_its_vector(arch):
    channels, vector = SHAPES[arch]
    assert body_of(arch).output.shape == (None, 4, 6, channels)
    assert head_of(arch, channels, side=14).output.shape == (None, vector)


@pytest.mark.parametrize("arch", ["resnet:10", "vgg:16", "googlenet", "mobilenet_v1", "mobilenet_v2",
                                  "darknet:19", "efficientnet:b0"])  # fmt: skip
def test_the_body_of_a_free_size_is_that_of_any_fixed_one(arch):
    bodies = []
    for shape in ((64, 128, 3), (None, None, 3)):
        image = keras.Input(shape)
        bodies.append(keras.Model(image, backbone(arch, BackboneOptions()).body(image)))
    bodies[1].set_weights(bodies[0].get_weights())
    images = np.random.default_rng(0).normal(size=(1, 64, 128, 3)).astype(np.float32)
    fixed, free = (np.asarray(body(images)) for body in bodies)
    assert fixed.shape[1:3] == (4, 8)
    np.testing.assert_array_equal(free, fixed)


@pytest.mark.parametrize("arch", [arch for arch in ARCHS if not arch.startswith("efficientnet")])
def test_every_arch_of_the_spec_has_a_backbone(arch):
    assert backbone(arch, BackboneOptions()) is not None


@pytest.mark.parametrize(
    ("arch", "frozen"),
    [
        ("vgg:16", {"block_2a_conv_1", "block_2b_conv_1"}),
        ("vgg16", {"block2_conv1", "block2_conv2"}),
        ("mobilenet_v1", {"conv_dw_2", "conv_pw_2"}),
        ("mobilenet_v2", {"block_1_expand", "block_1_depthwise", "block_1_project"}),
        ("darknet:19", {"b2_conv1", "b2_conv2", "b2_conv3"}),
        (
            "resnet101",
            {f"conv3_block{u}_{c}_conv" for u in range(1, 5) for c in (1, 2, 3)} | {"conv3_block1_0_conv"},
        ),
    ],
)
def test_freezing_block_2_freezes_its_convolutions_and_nothing_else(arch, frozen):
    body = body_of(arch, freeze_blocks=frozenset({2}))
    assert {layer.name for layer in body.layers if not layer.trainable} == frozen


def test_freezing_inception_3b_freezes_its_six_convolutions():
    body = body_of("googlenet", freeze_blocks=frozenset({2}))
    frozen = {layer.name for layer in body.layers if not layer.trainable}
    kinds = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")
    assert frozen == {f"inception_3b_{kind}" for kind in kinds}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_refuses_a_variant_it_does_not_have(family):
    with pytest.raises(ModelError, match=rf"'{family}:nine' is unknown; expected one of {family}"):
        backbone(f"{family}:nine", BackboneOptions())


def test_an_unknown_family_is_refused_with_those_there_are():
    with pytest.raises(ModelError, match=r"'alexnet' is unknown; expected one of the families darknet, "):
        backbone("alexnet", BackboneOptions())


# Heads cannot be frozen, but for DarkNet's block 5 and EfficientNet's 6 to 8.
@pytest.mark.parametrize(
    ("arch", "with_head"),
    [
        ("resnet:18", False),
        ("vgg:16", False),
        ("vgg16", False),
        ("googlenet", False),
        ("mobilenet_v1", False),
        ("mobilenet_v2", False),
        ("resnet101", False),
        ("darknet:19", True),
        ("darknet:53", True),
        ("efficientnet:b0", True),
    ],
)
def test_the_blocks_of_the_table_are_all_convolutions_and_nothing_else(arch, with_head):
    every = frozenset(family_of(arch).blocks)
    body = body_of(arch, freeze_blocks=every)
    head = head_of(arch, body.output.shape[-1], freeze_blocks=every)
    kernels = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    for network, frozen in ((body, True), (head, with_head)):
        convolutions = {layer.name for layer in network.layers if isinstance(layer, kernels)}
        not_learning = {layer.name for layer in network.layers if layer.weights and not layer.trainable}
        assert not_learning == (convolutions if frozen else set())


def test_a_family_is_added_by_a_file_and_a_row(tmp_path, monkeypatch):
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr(backbones, "__path__", [*backbones.__path__, str(tmp_path)])
    monkeypatch.setitem(FAMILIES, "toy", Family(range(1), frozenset()))
    spec = toy_spec(tmp_path, images=1)
    spec = dataclasses.replace(spec, model_config=dataclasses.replace(spec.model_config, arch="toy"))
    model = build(model_settings(spec))
    assert model.features.get_layer("toy_conv").filters == 8
    detector = KerasDetector(model, detection_settings(spec.inference_config))
    found = detector(np.zeros((1, HEIGHT, WIDTH, 3), np.float32))
    assert found.boxes.shape[2] == 4
    del sys.modules["frcnn.model.backbones.toy"]


def test_options_reach_the_layers_they_are_for():
    names = {layer.name for layer in head_of("vgg:16", 512, dropout_rate=0.5).layers}
    assert {"fc1_dropout", "fc2_dropout"} <= names
    projected = {layer.name for layer in body_of("mobilenet_v2", all_projections=True).layers}
    assert {name for name in projected if name.endswith("_projected_inputs")} == {
        f"block_{block}_projected_inputs" for block in (2, 4, 5, 7, 8, 9, 11, 12)
    }
    relu = body_of("efficientnet:b0", activation="relu").get_layer("stem_activation")
    assert relu.activation is keras.activations.relu
    dropped = body_of("efficientnet:b0", drop_connect_rate=0.2).get_layer("block5c_drop")
    assert dropped.rate == pytest.approx(0.2 * 10 / 16)


@pytest.mark.parametrize("arch", ["mobilenet_v1", "mobilenet_v2", "efficientnet:b0"])
def test_depthwise_kernels_begin_with_he_variance_over_their_own_places(arch):
    body = body_of(arch)
    kernels = [x.kernel.numpy() for x in body.layers if isinstance(x, keras.layers.DepthwiseConv2D)]
    assert len(kernels) >= 10
    for kernel in kernels:
        # Half the input of a ReLU's follower is zero: a sum of 2 keeps the second moment.
        assert np.square(kernel).sum((0, 1)).mean() == pytest.approx(2.0, rel=0.35)


@pytest.mark.parametrize("arch", ["efficientnet:b0", "efficientnet:b1"])
def test_the_limit_of_drop_connect_is_where_a_unit_would_drop_everything(arch):
    """The rates of the built network decide, not the formula."""
    head = head_of(arch, 112, drop_connect_rate=0.5)
    rates = [layer.rate for layer in head.layers if layer.name.endswith("_drop")]
    assert drop_connect_limit(arch) == pytest.approx(0.5 / max(rates))


def test_only_efficientnets_have_a_limit_of_drop_connect():
    assert drop_connect_limit("resnet:18") is None
