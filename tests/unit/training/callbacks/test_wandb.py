"""Weights & Biases, offline: what is written, and that a missing package or a secret does no harm."""

import importlib.util
import logging

import keras
import pytest

from frcnn.settings.training import training_run
from frcnn.training.callbacks import wandb
from frcnn.training.callbacks.wandb import WandbRun
from tests.support.toy_training import toy_spec

SECRET = "0123456789abcdef0123456789abcdef01234567"
CONFIG = (
    f"visualizer {{ enabled: true wandb_config {{ enabled: true key: '{SECRET}' project: 'cells' "
    "name: 'first' tags: 'toy' mode: OFFLINE } }"
)


@pytest.fixture
def spec(tmp_path):
    return toy_spec(tmp_path, images=2, training=CONFIG)


def epochs(spec, folder) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.25))
    run = training_run(spec)
    callback = WandbRun(run.visualizer.wandb, run.spec_text, folder)
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_end(0, {"loss": 0.5, "mAP": float("nan")})
    callback.on_train_end()


def test_without_the_package_there_is_one_warning_and_the_training_goes_on(
    spec, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(wandb.importlib.util, "find_spec", lambda name: None)
    epochs(spec, tmp_path / "results")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "pip install wandb" in caplog.text


def test_a_service_that_fails_does_not_end_the_training(spec, tmp_path, monkeypatch, caplog):
    class Broken:
        Settings = dict

        def init(self, **options):
            raise OSError("no network")

    monkeypatch.setattr(wandb.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(wandb.importlib, "import_module", lambda name: Broken())
    epochs(spec, tmp_path / "results")
    assert "could not start a run: no network" in caplog.text


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
@pytest.mark.filterwarnings("ignore")  # of that package
def test_an_offline_run_has_the_numbers_and_not_the_key(spec, tmp_path):
    epochs(spec, tmp_path / "results")
    (run,) = (tmp_path / "results/wandb").glob("offline-run-*")
    content = b"".join(path.read_bytes() for path in run.rglob("*") if path.is_file())
    assert b"loss" in content and b"cells" in content
    everything = (path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file())
    assert not any(SECRET.encode() in each for each in everything)
