"""Weights of other files: what is filled, what stays, and that the filled network computes the same."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import frcnn
from frcnn.errors import ModelError
from frcnn.model.build import build
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.checkpoint import save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.settings.model import model_settings
from frcnn.spec import load_experiment
from frcnn.training.pretrained.load import load_pretrained, read_source
from frcnn.training.pretrained.status_table import LayerStatus, status_table
from tests.support.task_spec import write_spec

SOURCES = str(Path(frcnn.__file__).parents[1])


def detector(folder: Path, arch: str, options: str = "") -> FasterRCNN:
    """A detector of `arch` with fresh weights; `options` is text for the spec's model_config."""
    path = write_spec(folder / "spec.txt")
    extra = f'model_config {{ arch: "{arch}" {options} }}\n'
    path.write_text(path.read_text() + extra, encoding="utf-8")
    keras.utils.set_random_seed(1)
    return build(model_settings(load_experiment(path)))


def weights(model: FasterRCNN, name: str) -> dict[str, np.ndarray]:
    layers = {layer.name: layer for part in (model.features, model.roi_head) for layer in part.layers}
    return {variable.name: variable.numpy() for variable in layers[name].weights}


def by_name(statuses: list[LayerStatus]) -> dict[str, str]:
    return {each.name: each.status for each in statuses}


def write_keras2(
    path: Path, layers: dict[str, dict[str, np.ndarray]], config: dict | None = None, root: str = ""
) -> Path:
    """A weight file laid out as Keras 2.2 does: names as bytes, `layer/role:0`."""
    with h5py.File(path, "w") as archive:
        if config is not None:
            archive.attrs["model_config"] = json.dumps(config).encode()
        group = archive.create_group(root) if root else archive
        group.attrs["layer_names"] = [name.encode() for name in layers]
        for name, roles in layers.items():
            group.create_group(name).attrs["weight_names"] = [f"{name}/{role}:0".encode() for role in roles]
            for role, array in roles.items():
                group[name][f"{name}/{role}:0"] = array
    return path


def random_like(model: FasterRCNN, name: str) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    return {
        role: random.uniform(0.5, 1.5, value.shape).astype(np.float32)
        for role, value in weights(model, name).items()
    }


def test_the_table_has_99_columns_and_three_statuses():
    rows = [LayerStatus("conv1", "Conv2D", "Yes"), LayerStatus("a" * 200, "ReLU", "None")]
    lines = status_table(rows).splitlines()
    assert {len(line) for line in lines} == {99}
    assert lines[1] == f"{'Layer(Type):':<90}{'Status:':<9}"
    assert lines[3] == f"{'conv1(Conv2D)':<90}{'Yes':<9}"
    assert lines[4].endswith("a None     ")


@pytest.mark.parametrize("key", ["", "secret"])
def test_our_own_file_fills_every_layer_of_the_same_network(tmp_path, key):
    source, target = detector(tmp_path, "resnet:10"), detector(tmp_path, "resnet:10")
    path = tmp_path / ("model.tlt" if key else "model.keras")
    for variable in source.weights:
        variable.assign(variable + 0.25)
    save_model(source, path, TrainingRecord("resnet:10", ("car", "person")), key)
    statuses = load_pretrained(target, path, key)
    assert {each.status for each in statuses} == {"Yes", "None"}
    for one, other in zip(source.get_weights(), target.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ModelError):
        load_pretrained(target, path if key else tmp_path / "missing.keras", "another key")


def test_a_results_folder_gives_its_best_model(tmp_path):
    source, target = detector(tmp_path, "resnet:10"), detector(tmp_path, "resnet:10")
    for variable in source.weights:
        variable.assign(variable + 0.25)
    best = tmp_path / "results/frcnn_resnet_10.best.keras"
    save_model(source, best, TrainingRecord("resnet:10", ("car", "person")))
    (best.parent / "frcnn_resnet_10.epoch_9.keras").write_bytes(b"broken")
    load_pretrained(target, best.parent)
    np.testing.assert_array_equal(weights(target, "conv1")["kernel"], weights(source, "conv1")["kernel"])


def test_a_layer_of_another_shape_says_no_and_stays_as_it_was(tmp_path, caplog):
    model = detector(tmp_path, "resnet:10")
    before = weights(model, "block_1a_conv_1")
    layers = {
        "conv1": random_like(model, "conv1"),
        "block_1a_conv_1": {"kernel": np.ones((3, 3, 64, 60), np.float32)},
        "block_1a_conv_2": {"kernel": np.full((3, 3, 64, 64), np.nan, np.float32)},
    }
    statuses = load_pretrained(model, write_keras2(tmp_path / "weights.h5", layers))
    status = by_name(statuses)
    assert (status["conv1"], status["block_1a_conv_1"], status["bn_conv1"]) == ("Yes", "No", "No")
    assert (status["block_1a_conv_2"], status["conv1_relu"]) == ("No", "None")
    np.testing.assert_array_equal(weights(model, "block_1a_conv_1")["kernel"], before["kernel"])
    np.testing.assert_array_equal(weights(model, "conv1")["kernel"], layers["conv1"]["kernel"])
    assert "block_1a_conv_1: kernel is 3x3x64x64; in the file 3x3x64x60" in caplog.text


def test_a_classifier_of_keras_2_fills_the_head_too(tmp_path):
    model = detector(tmp_path, "resnet:10")
    names = ("conv1", "bn_conv1", "block_4a_conv_1", "block_4a_bn_1")
    layers = {name: random_like(model, name) for name in names}
    status = by_name(
        load_pretrained(model, write_keras2(tmp_path / "resnet.hdf5", layers, root="model_weights"))
    )
    assert [name for name, each in status.items() if each == "Yes"] == list(names)
    for name in names:
        for role, value in layers[name].items():
            np.testing.assert_allclose(weights(model, name)[role], value, rtol=1e-6)


def test_a_detector_of_keras_2_is_read_through_its_wrappers(tmp_path):
    model = detector(tmp_path, "resnet:10")
    norm = random_like(model, "block_4a_bn_1")
    inner = {"class_name": "BatchNormalization", "config": {"name": "block_4a_bn_1", "epsilon": 0.001}}
    wrapper = {"class_name": "TimeDistributed", "config": {"name": "time_distributed_3", "layer": inner}}
    config = {"class_name": "Model", "config": {"name": "model_1", "layers": [wrapper]}}
    layers = {"time_distributed_3": norm, "dense_class_td": random_like(model, "dense_class_td")}
    path = write_keras2(tmp_path / "frcnn.hdf5", layers, config, root="model_weights")
    status = by_name(load_pretrained(model, path))
    assert (status["block_4a_bn_1"], status["dense_class_td"]) == ("Yes", "Yes")
    np.testing.assert_allclose(weights(model, "block_4a_bn_1")["gamma"], norm["gamma"], rtol=1e-6)


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_keras_3_files_are_read_by_name(tmp_path, name):
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(64, 7, use_bias=False, name="conv1")(image)
    x = keras.layers.BatchNormalization(name="bn_conv1")(x)
    other = keras.Model(image, x)
    for variable in other.weights:
        variable.assign(keras.random.uniform(variable.shape, 0.5, 1.5, seed=3))
    (other.save if name.endswith(".keras") else other.save_weights)(tmp_path / name)
    model = detector(tmp_path, "resnet:10")
    status = by_name(load_pretrained(model, tmp_path / name))
    assert [layer for layer, each in status.items() if each == "Yes"] == ["conv1", "bn_conv1"]
    np.testing.assert_array_equal(weights(model, "conv1")["kernel"], other.get_weights()[0])
    np.testing.assert_allclose(
        weights(model, "bn_conv1")["moving_variance"], other.get_weights()[4], rtol=1e-6
    )


def test_the_resnet_of_keras_applications_computes_the_same_as_ours(tmp_path):
    theirs = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(128, 160, 3))
    random = np.random.default_rng(5)
    for variable in theirs.weights:  # biases and statistics that would show if they were lost
        if variable.name != "kernel":
            variable.assign(random.uniform(0.5, 1.0, variable.shape))
    theirs.save_weights(tmp_path / "resnet50.weights.h5")
    model = detector(tmp_path, "resnet:50", "use_pooling: true")
    statuses = load_pretrained(model, tmp_path / "resnet50.weights.h5")
    left = [each.name for each in statuses if each.status == "No"]
    assert left == ["rpn_conv1", "rpn_out_class", "rpn_out_regress", "dense_class_td", "dense_regress_td"]
    image = random.normal(size=(1, 128, 160, 3)).astype(np.float32)
    there = keras.Model(theirs.input, theirs.get_layer("conv4_block6_out").output)
    expected = there(image).numpy()
    found = model.features(image)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "theirs", "last", "options"),
    [
        ("resnet:101", "ResNet101", "conv4_block23_out", "use_pooling: true"),
        ("resnet101", "ResNet101", "conv4_block23_out", "use_bias: true"),
        ("vgg16", "VGG16", "block5_conv3", "roi_pooling_config { pool_size: 2 }"),
        ("vgg:19", "VGG19", "block5_conv4", "use_pooling: true roi_pooling_config { pool_size: 2 }"),
        ("efficientnet:b0", "EfficientNetB0", "block5c_add", ""),
        ("efficientnet:b1", "EfficientNetB1", "block5d_add", ""),
    ],
)
def test_a_network_of_keras_applications_computes_the_same_as_ours(tmp_path, arch, theirs, last, options):
    # Their EfficientNets scale and normalize the image in layers of their own; these are passed by.
    whole = getattr(keras.applications, theirs)(weights=None, include_top=False, input_shape=(128, 160, 3))
    random = np.random.default_rng(5)
    for variable in whole.weights:
        if variable.name != "kernel" and "normalization" not in variable.path:
            variable.assign(random.uniform(0.9, 1.1, variable.shape))
    whole.save_weights(tmp_path / "theirs.weights.h5")
    model = detector(tmp_path, arch, options)
    status = by_name(load_pretrained(model, tmp_path / "theirs.weights.h5"))
    body = {layer.name for layer in model.features.layers if not layer.name.startswith("rpn_")}
    # Ours has a normalization where their VGG has none: it takes over the bias.
    assert {name for name in body if status.get(name) == "No"} == set()
    image = random.normal(size=(1, 128, 160, 3)).astype(np.float32)
    given = whole.get_layer("stem_conv_pad").input if "Efficient" in theirs else whole.input
    expected = keras.Model(given, whole.get_layer(last).output)(image).numpy()
    found = model.features(image)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_biases_move_where_the_model_has_them(tmp_path):
    # Neither a convolution with a bias before a normalization in the file only, nor the reverse.
    model = detector(tmp_path, "vgg:19", "use_pooling: true roi_pooling_config { pool_size: 2 }")
    random = np.random.default_rng(5)
    kernel, bias = random.normal(size=(3, 3, 3, 64)), random.normal(size=64)
    layers = {"block1_conv1": {"kernel": np.float32(kernel), "bias": np.float32(bias)}}
    status = by_name(load_pretrained(model, write_keras2(tmp_path / "vgg19.h5", layers)))
    assert (status["block_1a_conv_1"], status["block_1a_bn_1"]) == ("Yes", "Yes")
    norm = weights(model, "block_1a_bn_1")
    scale = norm["gamma"] / np.sqrt(norm["moving_variance"] + 1e-3)
    np.testing.assert_allclose(scale, 1.0, rtol=1e-6)
    np.testing.assert_allclose(norm["beta"] - scale * norm["moving_mean"], bias, rtol=1e-5)


def test_mobilenet_of_keras_applications_fits_whole(tmp_path, caplog):
    theirs = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 96, 3))
    theirs.save_weights(tmp_path / "mobilenet.weights.h5")
    statuses = load_pretrained(detector(tmp_path, "mobilenet_v2"), tmp_path / "mobilenet.weights.h5")
    left = [each.name for each in statuses if each.status == "No"]
    assert left == ["rpn_conv1", "rpn_out_class", "rpn_out_regress", "dense_class_td", "dense_regress_td"]
    assert "shifted" in caplog.text


def test_weights_that_fit_nowhere_are_said_to(tmp_path, caplog):
    model = detector(tmp_path, "resnet:10")
    path = write_keras2(tmp_path / "other.h5", {"unheard_of": {"kernel": np.ones((2, 2), np.float32)}})
    assert "Yes" not in by_name(load_pretrained(model, path)).values()
    assert "training starts from random weights" in caplog.text


def test_a_truncated_archive_is_refused_in_words(tmp_path):
    (tmp_path / "weights.keras").write_bytes(b"PK\x03\x04 cut")
    message = r"weights\.keras: not a readable archive: it is damaged or in another format$"
    with pytest.raises(ModelError, match=message):
        read_source(tmp_path / "weights.keras")


@pytest.mark.parametrize(
    "content", [b"", b"not weights at all, but long enough", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"]
)
def test_other_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"weights\.h5"):
        load_pretrained(None, path)


def test_links_and_storage_outside_of_the_file_are_refused(tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.ones(4, np.float32).tobytes())
    path = write_keras2(tmp_path / "weights.h5", {"conv1": {"bias": np.ones(4, np.float32)}})
    with h5py.File(path, "a") as archive:
        del archive["conv1/conv1/bias:0"]
        archive["conv1"].create_dataset("conv1/bias:0", (4,), "f4", external=[(str(secret), 0, 16)])
    with pytest.raises(ModelError, match="stored in another file"):
        load_pretrained(None, path)
    with h5py.File(path, "a") as archive:
        del archive["conv1/conv1/bias:0"]
        archive["conv1/conv1/bias:0"] = h5py.ExternalLink(str(secret), "/x")
    with pytest.raises(ModelError, match="is a link"):
        load_pretrained(None, path)
    with h5py.File(path, "a") as archive:
        del archive["conv1/conv1/bias:0"]
        archive["conv1"].create_dataset("conv1/bias:0", (1 << 36,), "f4", chunks=(1024,))
    with pytest.raises(ModelError, match="larger than the file"):
        load_pretrained(None, path)


def test_hdf5_files_that_crash_its_library_end_in_a_named_error(tmp_path):
    path = write_keras2(tmp_path / "weights.h5", {"conv1": {"kernel": np.ones((2, 2), np.float32)}})
    whole, random, refused = path.read_bytes(), np.random.default_rng(1), 0
    for _ in range(12):
        damaged = bytearray(whole)
        for position in random.integers(len(whole), size=30):
            damaged[position] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_source(path)
        except ModelError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 6


def test_the_process_that_reads_hdf5_needs_no_keras():
    code = "import sys, frcnn.model.files.hdf5_process; sys.exit('keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": SOURCES}, check=False)
    assert done.returncode == 0
