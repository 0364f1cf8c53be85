"""Layers on several devices: the plan, and two logical devices that compute what one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from frcnn.errors import UsageError
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.settings import Geometry
from frcnn.training.model_parallel import plan_placement

TOP = Path(__file__).parents[3]


def chain(name, layers):
    inputs = x = keras.Input((4,), name=f"{name}_input")
    for number in range(1, layers):
        x = keras.layers.Dense(4, name=f"{name}_{number}")(x)
    return keras.Model(inputs, x)


def ten_layers():
    """Six layers and four, inputs counted."""
    geometry = Geometry(16, 16, 1, (16.0,), (1.0,), 7, ("car",))
    return FasterRCNN(chain("body", 6), chain("head", 4), geometry)


@pytest.mark.parametrize(
    ("fractions", "expected"),
    [
        ((1.0,), [10]),
        ((0.3, 0.7), [3, 7]),
        ((3, 7), [3, 7]),  # only their ratio counts
        ((0.5, 0.25, 0.25), [5, 3, 2]),  # ends at 5, 7.5 and 10; halves go to the even number
    ],
)
def test_fractions_are_cumulative_shares_of_all_layers(fractions, expected):
    devices = [f"/GPU:{number}" for number in range(4)]
    placement = plan_placement(ten_layers(), fractions, devices)
    order = [*placement.features.values(), *placement.roi_head.values()]
    assert order == sorted(order)
    assert [order.count(device) for device in devices[: len(fractions)]] == expected


def test_too_few_devices_are_named():
    with pytest.raises(UsageError, match=r"2 fractions need as many devices, found 1 \(/CPU:0\)"):
        plan_placement(ten_layers(), (0.5, 0.5), ["/CPU:0"])


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TOP / "shared/src"), str(TOP)])}
    command = [sys.executable, "-m", "tests.support.spread_program", str(tmp_path_factory.mktemp("spread"))]
    done = subprocess.run(command, env=environment, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_two_devices_compute_what_one_does(outcome):
    for one, two in zip(outcome["one"]["losses"], outcome["two"]["losses"], strict=True):
        assert two == pytest.approx(one, rel=1e-5)
    assert outcome["two"]["weights"] == pytest.approx(outcome["one"]["weights"], rel=1e-6)


@pytest.mark.slow
def test_forward_and_backward_of_a_layer_are_on_its_device(outcome):
    found = outcome["two"]
    places = {**found["placement"][0], **found["placement"][1]}
    checked = {}
    for kind, device, name in found["ops"]:
        # A scope is the layer's name, numbered where the layer is called a second time.
        parts = [part.removesuffix("_1") for part in name.split("/")]
        layer = next((part for part in parts if part in places), None)
        if layer is not None:
            assert device == places[layer], name
            checked.setdefault(kind, set()).add(device)
    # Every kind was seen on both devices, so that nothing was checked in vain.
    assert {kind: len(devices) for kind, devices in checked.items()} == dict.fromkeys(
        ("Conv2D", "Conv2DBackpropFilter", "Conv2DBackpropInput", "FusedBatchNormV3", "FusedBatchNormGradV3"),
        2,
    )


@pytest.mark.slow
def test_weights_and_optimizer_state_are_beside_their_layer(outcome):
    found = outcome["two"]
    places = {**found["placement"][0], **found["placement"][1]}
    for path, layer in found["layers"].items():
        assert found["variables"][path].endswith(places[layer]), path
        (momentum,) = (each for each in found["variables"] if each.endswith(f"/{_flat(path)}_momentum"))
        assert found["variables"][momentum].endswith(places[layer]), momentum


def _flat(path):
    return path.replace("/", "_")
