import dataclasses
from pathlib import Path

import pytest

from frcnn.settings.optimizer import (
    AdamSettings,
    ExponentialSettings,
    RmspropSettings,
    SgdSettings,
    SoftStartSettings,
)
from frcnn.settings.training import training_run
from frcnn.spec import (
    AdamOptimizerConfig,
    Experiment,
    LRConfig,
    OptimizerConfig,
    RmspropOptimizerConfig,
    SgdOptimizerConfig,
    SoftStartAnnealingConfig,
    StepLrConfig,
    VisualizerConfig,
    WandbConfig,
)
from frcnn.spec.load import parse_experiment


def spec(**values) -> Experiment:
    built = Experiment.build(
        arch="resnet:18",
        size_height_width=(128, 160),
        target_class_mapping={"van": "car", "person": "person"},
        tfrecords_path="records/*",
    )
    return built.updated({name.replace("__", "."): value for name, value in values.items()})


@pytest.mark.parametrize(
    ("chosen", "method", "decay"),
    [
        ({"adam": AdamOptimizerConfig(beta_1=0.5, decay=0.25)}, AdamSettings(0.5, 0.999, 1e-7, False), 0.25),
        ({"sgd": SgdOptimizerConfig(momentum=0.5, nesterov=True)}, SgdSettings(0.5, True), 0.0),
        ({"rmsprop": RmspropOptimizerConfig()}, RmspropSettings(), 0.0),
    ],
)
def test_the_optimizer_is_the_one_that_is_set(chosen, method, decay):
    settings = training_run(spec(training_config__optimizer=OptimizerConfig(**chosen))).optimizer
    assert type(settings.method) is type(method)
    assert dataclasses.astuple(settings.method) == pytest.approx(dataclasses.astuple(method))
    assert settings.decay == decay


def test_the_schedule_is_the_one_that_is_set():
    soft = SoftStartAnnealingConfig(base_lr=0.5, start_lr=0.25, soft_start=0.125, annealing_points=(0.5,))
    chosen = training_run(spec(training_config__learning_rate=LRConfig(soft_start=soft))).optimizer.schedule
    assert chosen == SoftStartSettings(0.5, 0.25, 0.125, (0.5,), 10.0)
    step = StepLrConfig(base_lr=0.5, gamma=0.25, step_size=50.0)
    chosen = training_run(spec(training_config__learning_rate=LRConfig(step=step))).optimizer.schedule
    assert chosen == ExponentialSettings(0.5, 0.25, 50.0)


def test_a_resumed_run_starts_from_the_checkpoint_alone_and_keeps_the_users_spec():
    run = training_run(
        spec(training_config__retrain_pruned_model="p.keras", training_config__pretrained_weights="w.hdf5")
    )
    resumed = run.resumed_from(Path("a.epoch_3.keras"))
    assert dataclasses.astuple(resumed.start) == ("a.epoch_3.keras", "", "w.hdf5")
    assert resumed.spec_text == run.spec_text


def test_the_text_in_checkpoints_is_the_spec_without_its_keys():
    visualizer = VisualizerConfig(wandb_config=WandbConfig(enabled=True, key="wandb secret"))
    given = spec(enc_key="model secret", training_config__visualizer=visualizer)
    run = training_run(given)
    assert "secret" not in run.spec_text and "secret" not in repr(run)
    assert run.visualizer.wandb.key == "wandb secret"
    found = training_run(parse_experiment(run.spec_text, remarks=False).spec)
    assert (found.losses, found.data, found.model, found.optimizer) == (
        run.losses,
        run.data,
        run.model,
        run.optimizer,
    )
