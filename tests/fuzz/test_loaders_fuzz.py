"""Mutated weight files of every kind: layers or a ModelError, in bounded memory; HDF5's library may die.

    python -m pytest -m slow -s tests/fuzz

The library that reads HDF5 runs in a separate process (`frcnn.model.files.hdf5_process`), whose death is a
ModelError too. Here many files share one process, forked, and its deaths are counted.
"""

import io
import json
import random
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from frcnn.errors import ModelError
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files import archive, checkpoint
from frcnn.model.files.archive import CONFIG, read_text
from frcnn.model.files.checkpoint import save_model
from frcnn.model.files.config_guard import sanitize_config
from frcnn.model.files.hdf5_tree import read_tree
from frcnn.model.files.training_record import TrainingRecord
from frcnn.model.layers import BatchNormalization, Conv2D
from frcnn.model.settings import Geometry
from frcnn.training.pretrained import load
from frcnn.training.pretrained.load import read_source
from tests.fuzz.mutation import DIED, READ, REFUSED, mutated, survive
from tests.unit.training.test_pretrained_torch import torch_names, write_any

__all__ = ["torch_names"]

FILES = dict.fromkeys((".safetensors", ".pt", ".pth"), 25_000) | dict.fromkeys(
    (".h5", ".weights.h5", ".keras"), 10_000
)
SAMPLE = 100
BUILT, BUILT_SAMPLE = 1500, 15


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """HDF5 without a process of its own: `survive` has one."""

    def read(path: Path, shown: Path | None = None):
        try:
            return read_tree(path)
        except ModelError as error:
            raise ModelError(f"{shown or path}: {error}") from error

    for module in (archive, load):
        monkeypatch.setattr(module, "read_tree_in_subprocess", read)


def tiny_detector() -> FasterRCNN:
    """A whole detector of five kilobytes."""
    keras.utils.set_random_seed(1)
    image = keras.Input((32, 32, 3), name="input_image")
    x = Conv2D(4, 3, strides=16, name="conv1")(image)
    x = BatchNormalization(name="bn_conv1")(x)
    x = keras.layers.ReLU(name="relu")(x)
    scores = Conv2D(1, 1, activation="sigmoid", name="rpn_out_class")(x)
    codes = Conv2D(4, 1, name="rpn_out_regress")(x)
    crops = keras.Input((2, 2, 4), name="crops")
    flat = keras.layers.Flatten(name="flat")(crops)
    answers = [keras.layers.Dense(n, name=f"dense_{n}")(flat) for n in (3, 8)]
    geometry = Geometry(
        height=32, width=32, channels=3, scales=(8.0,), ratios=(1.0,), crop_size=2,
        class_names=("a", "b"), code_weights=(1.0,) * 4, stride=16,
    )  # fmt: skip
    return FasterRCNN(keras.Model(image, [x, scores, codes]), keras.Model(crops, answers), geometry)


def whole_file(kind: str, folder: Path) -> bytes:
    """A small valid file of this kind."""
    path = folder / f"whole{kind}"
    tensors = {"a.weight": np.ones((2, 3), np.float32), "a.bias": np.zeros(2, np.float32)}
    if kind in (".safetensors", ".pt", ".pth"):
        return write_any(path, tensors).read_bytes()
    if kind == ".keras":
        save_model(tiny_detector(), path, TrainingRecord("resnet:10", ("a", "b")))
    elif kind == ".weights.h5":
        tiny_detector().features.save_weights(path)
    else:
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [b"conv1"]
            file.create_group("conv1").attrs["weight_names"] = [b"conv1/kernel:0"]
            file["conv1"]["conv1/kernel:0"] = np.ones((1, 1, 3, 4), np.float32)
    return path.read_bytes()


def attempt_on(kind: str, whole: bytes, folder: Path):
    """Loads a mutated file. Anything except layers or a ModelError that names the file is an error."""
    path = folder / f"mutated{kind}"

    def attempt(number: int) -> str:
        rng = random.Random(number)
        data = mutated(whole, whole[::-1], rng)
        if kind == ".keras" and rng.random() < 0.5:
            data = with_other_member(whole, rng)
        path.write_bytes(data)
        try:
            if kind == ".keras":
                config = None
                try:
                    config = json.loads(read_text(path, CONFIG))
                except (*archive.FAULTS, RecursionError):
                    pass
                if config is not None:
                    sanitize_config(config)
            assert isinstance(read_source(path).layers, dict)
        except ModelError as error:
            assert path.name in str(error) or "configuration" in str(error), error
            return REFUSED
        return READ

    return attempt


def with_other_member(whole: bytes, rng: random.Random) -> bytes:
    """An archive whose checksums are right, so that what is in its members gets read."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(target, "w") as after:
        names = before.namelist()
        chosen = rng.choice(names)
        for name in names:
            content = before.read(name)
            after.writestr(name, mutated(content, whole, rng) if name == chosen else content)
    return target.getvalue()


def fuzz(kind: str, count: int, folder: Path) -> None:
    seen = survive(count, attempt_on(kind, whole_file(kind, folder), folder))
    print(f"{count} mutated {kind} files: {dict(seen)}")
    assert seen[REFUSED] > count // 5
    if "h5" not in kind and kind != ".keras":
        assert seen[DIED] == 0


@pytest.mark.parametrize("kind", FILES)
def test_some_mutated_files(kind, tmp_path):
    fuzz(kind, SAMPLE, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", FILES)
def test_many_mutated_files(kind, tmp_path):
    fuzz(kind, FILES[kind], tmp_path)


def changed_node(config: dict, rng: random.Random) -> dict:
    """The configuration with one value replaced, removed, or swapped with another."""
    places = []

    def walk(node: object) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(config)
    node, key = rng.choice(places)
    values = [0, -1, 1 << 20, 1 << 60, 0.5, float("nan"), "", "Lambda", [], {}, None, True, [1] * 5]
    match rng.randrange(3):
        case 0:
            node[key] = rng.choice(values)
        case 1:
            del node[key]
        case _:
            other, place = rng.choice(places)
            if place in other if isinstance(other, dict) else place < len(other):
                node[key] = json.loads(json.dumps(other[place]))
    return config


def build_changed(count: int, folder: Path) -> None:
    whole = whole_file(".keras", folder)
    path = folder / "changed.keras"
    with zipfile.ZipFile(io.BytesIO(whole)) as archive_file:
        members = {name: archive_file.read(name) for name in archive_file.namelist()}

    def attempt(number: int) -> str:
        rng = random.Random(number)
        config = json.dumps(changed_node(json.loads(members[CONFIG]), rng))
        with zipfile.ZipFile(path, "w") as file:
            for name, content in members.items():
                file.writestr(name, config if name == CONFIG else content)
        try:
            model, _ = checkpoint.load_model(path)
        except ModelError as error:
            assert path.name in str(error)
            return REFUSED
        assert isinstance(model, FasterRCNN)
        return READ

    seen = survive(count, attempt)
    print(f"{count} changed configurations: {dict(seen)}")
    assert seen[DIED] == 0
    assert seen[REFUSED] > count // 5
    assert seen[READ] > 0


def test_some_changed_configurations_are_built_or_refused(tmp_path):
    build_changed(BUILT_SAMPLE, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_changed_configurations_are_built_or_refused(tmp_path):
    build_changed(BUILT, tmp_path)
