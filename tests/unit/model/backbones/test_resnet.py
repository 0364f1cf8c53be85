"""ResNets: sizes against Keras Applications and published counts, names, freezing."""

import keras
import pytest

from frcnn.errors import ModelError
from frcnn.model.backbones import BackboneOptions, backbone

# Parameters without the classifier, as torchvision and Keras Applications count them.
PUBLISHED = {"18": 11_176_512, "34": 21_284_672, "50": 23_508_032, "101": 42_500_160}


def parts(variant: str, side: int = 64, **options: object) -> tuple[keras.Model, keras.Model]:
    chosen = backbone(f"resnet:{variant}", BackboneOptions(**{"use_pooling": True, **options}))
    image = keras.Input((side, side, 3))
    body = keras.Model(image, chosen.body(image))
    crops = keras.Input((7, 7, body.output.shape[-1]))
    return body, keras.Model(crops, chosen.head(crops, downsample=False))


def trainable_parameters(*models: keras.Model) -> int:
    return sum(
        variable.value.shape.num_elements() for model in models for variable in model.trainable_weights
    )


@pytest.mark.parametrize("variant", ["50", "101"])
def test_bottleneck_networks_have_the_published_number_of_parameters(variant):
    assert trainable_parameters(*parts(variant)) == PUBLISHED[variant]


@pytest.mark.parametrize(("variant", "projection"), [("18", 64 * 64 + 128), ("34", 64 * 64 + 128)])
def test_basic_networks_add_one_projection_to_the_published_number(variant, projection):
    # Block 1 projects its first shortcut although the shapes match, as the reference does.
    assert trainable_parameters(*parts(variant)) == PUBLISHED[variant] + projection


@pytest.mark.parametrize("use_pooling", [True, False])
@pytest.mark.parametrize(("variant", "channels", "vector"), [("10", 256, 512), ("50", 1024, 2048)])
def test_the_body_has_stride_16_and_the_head_gives_a_vector(variant, channels, vector, use_pooling):
    body, head = parts(variant, side=160, use_pooling=use_pooling)
    assert body.output.shape == (None, 10, 10, channels)
    assert head.output.shape == (None, vector)


def test_odd_sides_round_up_at_every_stride():
    body, _ = parts("10", side=161)
    assert body.output.shape[1:3] == (11, 11)


def test_all_projections_gives_every_unit_a_convolution_on_its_shortcut():
    names = {layer.name for model in parts("18", all_projections=True) for layer in model.layers}
    assert {name for name in names if name.endswith("_conv_shortcut")} == {
        f"block_{block}{unit}_conv_shortcut" for block in (1, 2, 3, 4) for unit in "ab"
    }


def test_frozen_blocks_freeze_their_convolutions_and_nothing_else():
    body, head = parts("10", freeze_blocks=frozenset({0, 2}))
    frozen = {layer.name for layer in (*body.layers, *head.layers) if not layer.trainable}
    assert frozen == {"conv1", "block_2a_conv_1", "block_2a_conv_2", "block_2a_conv_shortcut"}


def test_bias_is_there_only_on_request():
    assert not any(w.name == "bias" for w in parts("10")[0].weights)
    assert any(w.name == "bias" for w in parts("10", use_bias=True)[0].weights)


def test_a_head_that_halves_its_crops_gives_the_same_vector_size():
    chosen = backbone("resnet:18", BackboneOptions())
    crops = keras.Input((14, 14, 256))
    assert chosen.head(crops, downsample=True).shape == (None, 512)


def test_units_beyond_the_alphabet_go_on_with_two_letters():
    names = [layer.name for layer in parts("101")[0].layers]
    assert "block_3w_conv_3" in names
    assert "block_3x_conv_1" not in names


def test_an_unknown_depth_is_refused_with_those_there_are():
    with pytest.raises(ModelError, match=r"'resnet:19' is unknown; expected one of resnet:10, resnet:101"):
        backbone("resnet:19", BackboneOptions())
