import dataclasses

from frcnn.data.transforms.preprocess import ImageSettings
from frcnn.exporting.tensorrt.deepstream import config_text, labels_text

COLOR = ImageSettings(
    height=384,
    width=1248,
    channels=3,
    order="bgr",
    mean=(103.939, 116.779, 123.68),
    scale=1.0,
    auto_resize=False,
)


def test_background_is_the_last_label():
    assert labels_text(["car", "person"]) == "car\nperson\nbackground\n"


def test_the_configuration_has_preprocessing_in_the_models_channel_order():
    assert config_text(["car", "person"], COLOR).splitlines() == [
        "net-scale-factor=1",
        "offsets=103.939;116.779;123.68",
        "infer-dims=3;384;1248",
        "tlt-model-key=",
        "network-type=0",
        "num-detected-classes=3",
        "model-color-format=1",
        "maintain-aspect-ratio=0",
        "output-tensor-meta=0",
    ]


def test_gray_models_have_one_offset():
    gray = dataclasses.replace(COLOR, channels=1, order="l", mean=(117.3,), scale=2.0)
    lines = config_text(["car"], gray).splitlines()
    assert lines[:3] == ["net-scale-factor=0.5", "offsets=117.3", "infer-dims=1;384;1248"]
    assert "model-color-format=2" in lines
