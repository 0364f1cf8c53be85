"""PyTorch's files, written here byte by byte as PyTorch writes them, and networks that they fill."""

import io
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from frcnn.errors import ModelError
from frcnn.model.build import build
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.settings.model import model_settings
from frcnn.spec import load_experiment
from frcnn.training.pretrained.load import load_pretrained, read_source
from frcnn.training.pretrained.restricted_pickle import read_pickle
from frcnn.training.pretrained.torch_file import LEGACY_MAGIC
from tests.support.task_spec import write_spec

HEADS = ["rpn_conv1", "rpn_out_class", "rpn_out_regress", "dense_class_td", "dense_regress_td"]


@pytest.fixture(autouse=True)
def torch_names(monkeypatch):
    """Names that a pickle of PyTorch refers to, so that Python's pickler can write them."""
    for module, names in {
        "torch": ["FloatStorage", "LongStorage", "HalfStorage"],
        "torch._utils": ["_rebuild_tensor_v2"],
    }.items():
        fake = types.ModuleType(module)
        for name in names:
            setattr(fake, name, type(name, (), {"__module__": module, "__qualname__": name}))
        monkeypatch.setitem(sys.modules, module, fake)


class Stored:
    """A tensor on its way into a pickle."""

    def __init__(self, key: str, array: np.ndarray, strides: tuple[int, ...] | None = None) -> None:
        self.key, self.array = key, array
        steps = [stride // array.itemsize for stride in array.strides]
        self.strides = tuple(steps) if strides is None else strides

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (StorageId(self), 0, self.array.shape, self.strides, False, OrderedDict())


class StorageId:
    def __init__(self, tensor: Stored) -> None:
        names = {"float32": "FloatStorage", "int64": "LongStorage", "float16": "HalfStorage"}
        kind = getattr(sys.modules["torch"], names[tensor.array.dtype.name])
        self.identity = ("storage", kind, tensor.key, "cpu", tensor.array.size)


class Pickler(pickle.Pickler):
    def persistent_id(self, value: object) -> object:
        if not isinstance(value, StorageId):
            return None
        old = (None,) if self.old else ()
        return (*value.identity, *old)


def pickled(value: object, old: bool = False) -> bytes:
    buffer = io.BytesIO()
    pickler = Pickler(buffer, 2)
    pickler.old = old
    pickler.dump(value)
    return buffer.getvalue()


def stored(tensors: dict[str, np.ndarray]) -> OrderedDict:
    return OrderedDict((name, Stored(str(at), array)) for at, (name, array) in enumerate(tensors.items()))


def write_zip(path: Path, value: object, arrays: list[np.ndarray], compression: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(value))
        archive.writestr("archive/byteorder", b"little")
        for key, array in enumerate(arrays):
            archive.writestr(f"archive/data/{key}", array.tobytes())
    return path


def write_legacy(path: Path, value: object, arrays: list[np.ndarray]) -> Path:
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    content = LEGACY_MAGIC + pickle.dumps(1001, 2) + pickle.dumps(machine, 2) + pickled(value, old=True)
    content += pickle.dumps([str(key) for key in range(len(arrays))], 2)
    for array in arrays:
        content += struct.pack("<q", array.size) + array.tobytes()
    path.write_bytes(content)
    return path


def write_any(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    """As `.safetensors`, as `.pt`, or as the older `.pth`."""
    if path.suffix == ".safetensors":
        safetensors.numpy.save_file(tensors, path)
        return path
    write = write_zip if path.suffix == ".pt" else write_legacy
    return write(path, stored(tensors), list(tensors.values()))


def detector(folder: Path, arch: str, options: str = "") -> FasterRCNN:
    path = write_spec(folder / "spec.txt")
    extra = f'model_config {{ arch: "{arch}" {options} }}\n'
    path.write_text(path.read_text() + extra, encoding="utf-8")
    keras.utils.set_random_seed(1)
    return build(model_settings(load_experiment(path)))


# A second implementation of what the networks compute, straight from the state dict.


def convolve(x: tf.Tensor, kernel: np.ndarray, stride: int, groups: int = 1) -> tf.Tensor:
    pad = kernel.shape[-1] // 2
    x = tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
    if groups > 1:
        return tf.nn.depthwise_conv2d(x, np.transpose(kernel, (2, 3, 0, 1)), [1, stride, stride, 1], "VALID")
    return tf.nn.conv2d(x, np.transpose(kernel, (2, 3, 1, 0)), stride, "VALID")


def normalize(x: tf.Tensor, tensors: dict[str, np.ndarray], name: str) -> tf.Tensor:
    weight, bias, mean, variance = (
        tensors[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


def resnet18(x: tf.Tensor, tensors: dict[str, np.ndarray]) -> tf.Tensor:
    """The output of `layer3`."""
    x = tf.nn.relu(normalize(convolve(x, tensors["conv1.weight"], 2), tensors, "bn1"))
    x = tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")
    for name, stride in [(f"layer{n}.{u}", 2 if n > 1 and u == 0 else 1) for n in (1, 2, 3) for u in (0, 1)]:
        y = tf.nn.relu(
            normalize(convolve(x, tensors[f"{name}.conv1.weight"], stride), tensors, f"{name}.bn1")
        )
        y = normalize(convolve(y, tensors[f"{name}.conv2.weight"], 1), tensors, f"{name}.bn2")
        if f"{name}.downsample.0.weight" in tensors:
            x = convolve(x, tensors[f"{name}.downsample.0.weight"], stride)
            x = normalize(x, tensors, f"{name}.downsample.1")
        x = tf.nn.relu(x + y)
    return x


def mobilenet_v2(x: tf.Tensor, tensors: dict[str, np.ndarray]) -> tf.Tensor:
    """The output of `features.13`, with ReLU for ReLU6."""
    x = tf.nn.relu(normalize(convolve(x, tensors["features.0.0.weight"], 2), tensors, "features.0.1"))
    for block in range(1, 14):
        stride = 2 if block in (2, 4, 7) else 1
        y = x
        for conv in (0, 3, 6):
            name = f"features.{block}.conv.{conv}"
            if f"{name}.weight" not in tensors:
                continue
            kernel = tensors[f"{name}.weight"]
            depthwise = kernel.shape[1:] == (1, 3, 3)
            y = convolve(y, kernel, stride if depthwise else 1, kernel.shape[0] if depthwise else 1)
            y = normalize(y, tensors, f"features.{block}.conv.{conv + 1}")
            if f"features.{block}.conv.{conv + 3}.weight" in tensors:
                y = tf.nn.relu(y)
        x = x + y if stride == 1 and x.shape == y.shape else y
    return x


def random_resnet18() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    tensors: dict[str, np.ndarray] = {}

    def unit(conv: str, norm: str, *shape: int) -> None:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        tensors[f"{conv}.weight"] = np.float32(random.normal(scale=scale, size=shape))
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{norm}.{part}"] = np.float32(random.uniform(0.001, 0.5, shape[0]))
        tensors[f"{norm}.num_batches_tracked"] = np.array(7, np.int64)

    unit("conv1", "bn1", 64, 3, 7, 7)
    for layer, width in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            before = width // 2 if block == 0 and layer > 1 else width
            unit(f"layer{layer}.{block}.conv1", f"layer{layer}.{block}.bn1", width, before, 3, 3)
            unit(f"layer{layer}.{block}.conv2", f"layer{layer}.{block}.bn2", width, width, 3, 3)
            if before != width:
                names = (f"layer{layer}.{block}.downsample.0", f"layer{layer}.{block}.downsample.1")
                unit(*names, width, before, 1, 1)
    tensors["fc.weight"] = np.zeros((10, 512), np.float32)
    return tensors


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_resnet_of_torchvision_computes_the_same_as_ours(tmp_path, suffix):
    tensors = random_resnet18()
    path = write_any(tmp_path / f"resnet18{suffix}", tensors)
    model = detector(tmp_path, "resnet:18", "use_pooling: true")
    statuses = load_pretrained(model, path)
    # Ours has a projection where the first block keeps its width: it is filled with what changes nothing.
    assert [each.name for each in statuses if each.status == "No"] == HEADS
    image = np.random.default_rng(1).normal(size=(1, 128, 160, 3)).astype(np.float32)
    expected = resnet18(image, tensors).numpy()
    np.testing.assert_allclose(model.features(image)[0], expected, atol=1e-4 * np.abs(expected).max())


def test_vgg_fills_convolutions_and_turned_dense_layers(tmp_path):
    random = np.random.default_rng(2)
    tensors, inputs = {}, 3
    places = [(0, 64), (2, 64), (5, 128), (7, 128), (10, 256), (12, 256), (14, 256)]
    places += [(number, 512) for number in (17, 19, 21, 24, 26, 28)]
    for number, width in places:
        tensors[f"features.{number}.weight"] = np.float32(random.normal(size=(width, inputs, 3, 3)))
        tensors[f"features.{number}.bias"] = np.float32(random.normal(size=width))
        inputs = width
    tensors["classifier.0.weight"] = np.float32(random.normal(size=(2, 512 * 49)))
    tensors["classifier.0.bias"] = np.zeros(2, np.float32)
    layers = read_source(write_any(tmp_path / "vgg16.pt", tensors)).layers
    maps = random.normal(size=(512, 7, 7))
    expected = tensors["classifier.0.weight"] @ maps.ravel()
    found = maps.transpose(1, 2, 0).ravel() @ layers["fc1"].weights["kernel"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    last = tensors["features.28.weight"].transpose(2, 3, 1, 0)
    for name in ("block5_conv3", "block_5c_conv_1"):
        np.testing.assert_array_equal(layers[name].weights["kernel"], last)


def test_half_precision_and_views_are_read(tmp_path):
    whole = np.arange(6, dtype=np.float32).reshape(2, 3)
    turned = Stored("0", whole.T)
    turned.strides = (1, 3)
    half = np.array([1.5, -2.0], np.float16)
    value = {"epoch": 3, "state_dict": OrderedDict([("a.weight", turned), ("b.bias", Stored("1", half))])}
    layers = read_source(write_zip(tmp_path / "checkpoint.pt", value, [whole, half])).layers
    # [2, 3] as [out, in] would be turned to [in, out]; it was stored turned already.
    np.testing.assert_array_equal(layers["a"].weights["kernel"], whole)
    np.testing.assert_array_equal(layers["b"].weights["bias"], np.float32(half))
    brain = {"c.bias": np.array([1.0, 3.0], ml_dtypes.bfloat16)}
    layers = read_source(write_any(tmp_path / "brain.safetensors", brain)).layers
    np.testing.assert_array_equal(layers["c"].weights["bias"], np.float32([1.0, 3.0]))


class Attack:
    """Object that runs code when Python unpickles it."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("function", [os.system, eval, exec, getattr, __import__, open, pickle.loads])
def test_pickled_code_is_refused_and_not_run(tmp_path, function):
    mark = tmp_path / "mark"
    command = {os.system: f"touch {mark}", open: str(mark)}.get(function, f"open({str(mark)!r}, 'w')")
    attack = Attack(function, command, "w") if function is open else Attack(function, command)
    for path in (
        write_zip(tmp_path / "bad.pt", {"a": attack}, []),
        write_legacy(tmp_path / "bad.pth", {"a": attack}, []),
    ):
        with pytest.raises(ModelError, match=r"it calls .*, which is not allowed"):
            read_source(path)
    assert not mark.exists()


def test_tensors_larger_than_what_is_stored_are_refused(tmp_path):
    small = np.ones(4, np.float32)
    broad = Stored("0", small)
    broad.array, broad.strides = np.broadcast_to(small[:1], (1 << 40,)), (0,)

    class Honest(Stored):
        def __reduce__(self) -> tuple[Any, ...]:
            function, arguments = super().__reduce__()
            return function, (StorageId(Stored("0", small)), *arguments[1:])

    broad.__class__ = Honest
    with pytest.raises(ModelError, match="larger than its storage"):
        read_source(write_zip(tmp_path / "broad.pt", {"a": broad}, [small]))
    with pytest.raises(ModelError, match="compressed"):
        path = tmp_path / "packed.pt"
        read_source(write_zip(path, stored({"a": small}), [small], zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_a_damaged_file_ends_in_a_named_error_or_in_layers(tmp_path, suffix):
    tensors = {"a.weight": np.ones((2, 3), np.float32), "a.bias": np.zeros(2, np.float32)}
    whole = write_any(tmp_path / f"whole{suffix}", tensors).read_bytes()
    path, random = tmp_path / f"damaged{suffix}", np.random.default_rng(4)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole[: random.integers(len(whole) // 2, len(whole) + 1)])
        for position in random.integers(0, len(damaged), 3):
            damaged[position] = random.integers(256)
        path.write_bytes(damaged)
        try:
            assert isinstance(read_source(path).layers, dict)
        except ModelError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 100


def test_an_odd_escape_in_a_string_is_no_warning():
    pickled = io.BytesIO(b"S'a\\q'\n.")  # Python's own reader warns of it, which a run may have made an error
    assert read_pickle(pickled, {}, lambda key: key) == "a\\q"
