"""Going on: the same bytes, whatever was random; other settings, named or refused."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from frcnn.cpu import ONEDNN_LIMIT
from frcnn.data.input.dataset import training_dataset
from frcnn.distributed.world import RankInfo
from frcnn.errors import ModelError, UsageError
from frcnn.model.build import build
from frcnn.model.files.archive import read_weights
from frcnn.model.files.checkpoint import load_checkpoint
from frcnn.model.files.training_record import TrainingRecord
from frcnn.settings.data import data_settings
from frcnn.settings.model import model_settings
from frcnn.settings.training import training_run
from frcnn.spec import load_experiment
from frcnn.spec.show import effective_text
from frcnn.training import compile as prepare_module
from frcnn.training.changed_settings import apply_changes
from frcnn.training.compile import prepare, restore
from frcnn.training.starting_point import counted
from frcnn.training.trainer import train
from tests.support.bfloat16 import needs_bfloat16
from tests.support.toy_training import toy_spec

TWO = "batch_size_per_gpu: 2 num_epochs: 2 optimizer { adam { } }"


def arrays(path: Path) -> dict[str, np.ndarray]:
    """All numbers in a plain checkpoint: weights, moving statistics, optimizer slots."""
    return read_weights(path, path).arrays


def assert_same_bytes(one: Path, other: Path) -> None:
    left, right = arrays(one), arrays(other)
    assert left.keys() == right.keys()
    assert [name for name in left if left[name].tobytes() != right[name].tobytes()] == []


def resumed(folder: Path, spec_text: str, checkpoint: Path, *, validation: int = 2, **options):
    """The result of going on from `checkpoint` by a spec written to `folder`."""
    folder.mkdir()
    text = f'{spec_text} resume_from_model: "{checkpoint}"'
    spec = toy_spec(folder, images=4, validation=validation, training=text)
    return train(training_run(spec), folder / "results", **options)


def test_settings_that_changed_are_named_and_count(tmp_path, caplog):
    spec = toy_spec(tmp_path)
    record = TrainingRecord("resnet:10", ("car", "person"), spec_text=effective_text(spec))
    again = toy_spec(
        tmp_path,
        training="lambda_rpn_regr: 2.0 rpn_nms_overlap_threshold: 0.5 regularizer { type: L1 weight: 0.5 } "
        "learning_rate { step { base_lr: 0.5 } } num_epochs: 9 early_stopping { patience: 3 }",
    )
    apply_changes(record, effective_text(again), Path("a.epoch_1.keras"))
    named = [line.message for line in caplog.records]
    assert [line.removeprefix("Changed since the checkpoint: training_config.") for line in named] == [
        "num_epochs: 1 -> 9",
        "rpn_nms_overlap_threshold: 0.7 -> 0.5",
        "regularizer.type: NO_REG -> L1",
        "regularizer.weight: 0.0 -> 0.5",
        "lambda_rpn_regr: 1.0 -> 2.0",
        "learning_rate.step.base_lr: 0.01 -> 0.5",
        "early_stopping: not set -> monitor loss, min_delta 0.0, patience 3",
    ]


def test_the_same_spec_has_no_changes(tmp_path, caplog):
    spec = toy_spec(tmp_path, training="visualizer { enabled: true }")
    text = effective_text(spec)
    apply_changes(TrainingRecord("resnet:10", (), spec_text=text), text, Path("a"))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("model_config.anchor_box_config.scale", "anchor_box_config { scale: 64.0 }"),
        ("model_config.use_bias", "use_bias: true"),
        ("model_config.freeze_bn", "freeze_bn: true"),
        ("model_config.roi_pooling_config.pool_size_2x", "roi_pooling_config { pool_size_2x: true }"),
        (
            "model_config.roi_pooling_config.positions_by_stride",
            "roi_pooling_config { positions_by_stride: true }",
        ),
        ("model_config.arch", "arch: 'resnet:18'"),
    ],
)
def test_another_network_is_refused_with_both_sides(tmp_path, field, text):
    spec = toy_spec(tmp_path)
    record = TrainingRecord("resnet:10", (), spec_text=effective_text(spec))
    path = Path(spec.source)
    path.write_text(f"{path.read_text()}\nmodel_config {{ {text} }}\n")
    with pytest.raises(ModelError, match=rf"a\.keras: .*\n  {field}: .+ in the file, .+ in the spec"):
        apply_changes(record, effective_text(load_experiment(path)), Path("a.keras"))


def test_an_older_spec_that_is_no_longer_understood_does_not_stop_a_resume(tmp_path, caplog):
    text = effective_text(toy_spec(tmp_path))
    apply_changes(TrainingRecord("resnet:10", (), spec_text="nonsense {"), text, Path("a"))
    assert "Cannot compare the settings with those of the checkpoint" in caplog.text


def test_no_key_is_kept_in_a_checkpoint(tmp_path):
    text = "visualizer { wandb_config { enabled: true key: 'wandb-secret' } }"
    spec = dataclasses.replace(toy_spec(tmp_path, training=text), enc_key="file-secret")
    assert "secret" not in effective_text(spec)


def test_the_step_count_follows_the_length_of_an_epoch(caplog):
    record = TrainingRecord("resnet:10", (), epoch=3, step=12)
    assert counted(record, 4) is record
    assert counted(record, 2).step == 6
    assert "adjusted from 12 to 6" in caplog.text


def test_another_batch_size_puts_the_schedule_where_the_epochs_are(tmp_path):
    spec = toy_spec(tmp_path, images=4, validation=0, training=TWO)
    half = dataclasses.replace(spec, training_config=dataclasses.replace(spec.training_config, num_epochs=1))
    first = train(training_run(half), tmp_path / "results").checkpoint
    again = resumed(tmp_path / "b", TWO.replace("gpu: 2", "gpu: 1"), first, validation=0)
    state = load_checkpoint(again.checkpoint)[2]
    assert state.groups["optimizer/vars"][0] == 8  # 2 epochs of 4 steps
    assert load_checkpoint(again.checkpoint)[1].step == 8


def test_dropout_goes_on_where_it_stood(tmp_path):
    """A resumed layer must drop what the uninterrupted one would have."""
    spec = toy_spec(tmp_path)
    image = keras.Input((8,))
    network = keras.Model(image, keras.layers.Dropout(0.5)(keras.layers.Dense(8)(image)))

    def drawn(steps: int, start: int) -> list[np.ndarray]:
        model = build(model_settings(spec))
        object.__setattr__(model, "features", network)
        prepare_module._seed_dropout(model, 42, start)
        return [np.asarray(network(np.ones((1, 8), np.float32), training=True)) for _ in range(steps)]

    whole, rest = drawn(4, 0), drawn(2, 2)
    np.testing.assert_array_equal(whole[2:], rest)
    assert not np.array_equal(whole[0], whole[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "amp", [pytest.param(False, id="float32"), pytest.param(True, id="bfloat16", marks=needs_bfloat16)]
)
def test_a_network_with_dropout_and_mixed_precision_resumes_to_the_same_bytes(tmp_path, amp):
    arch = 'model_config { arch: "efficientnet:b0" dropout_rate: 0.3 drop_connect_rate: 0.2 }'
    text = f"{TWO} }} {arch} training_config {{"
    spec = toy_spec(tmp_path, images=4, training=text)
    whole = train(training_run(spec), tmp_path / "results", amp=amp).checkpoint
    first = whole.with_name(whole.name.replace("epoch_2", "epoch_1"))
    assert_same_bytes(whole, resumed(tmp_path / "b", text, first, amp=amp).checkpoint)


@pytest.mark.slow
def test_float16_scales_the_loss_and_resumes_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module, "mixed_policy", lambda: "mixed_float16")
    whole = train(
        training_run(toy_spec(tmp_path, images=4, training=TWO)), tmp_path / "results", amp=True
    ).checkpoint
    first = whole.with_name(whole.name.replace("epoch_2", "epoch_1"))
    again = resumed(tmp_path / "b", TWO, first, amp=True).checkpoint
    assert_same_bytes(whole, again)
    found = arrays(again)
    scale = [found[f"optimizer/vars/{number}"] for number in range(4)][3]
    assert scale >= 1.0
    assert np.log2(scale) == round(np.log2(scale))
    # A run in float32 goes on from it, without the scale.
    plain = resumed(tmp_path / "c", TWO, first).checkpoint
    assert "optimizer/inner_optimizer/vars/0" not in arrays(plain)


@pytest.mark.parametrize("bfloat16", [True, False])
def test_a_cpu_without_bfloat16_is_told_that_float32_is_faster(tmp_path, monkeypatch, caplog, bfloat16):
    monkeypatch.delenv(ONEDNN_LIMIT, raising=False)
    monkeypatch.setattr(prepare_module, "has_bfloat16", lambda: bfloat16)
    spec = toy_spec(tmp_path)
    prepare(build(model_settings(spec)), training_run(spec), 10, RankInfo(), amp=True)
    assert ("this CPU has no bfloat16 instructions" in caplog.text) is not bfloat16


def test_mixed_precision_is_refused_where_a_limit_rules_bfloat16_out(tmp_path, monkeypatch):
    monkeypatch.setenv(ONEDNN_LIMIT, "AVX2")
    spec = toy_spec(tmp_path)
    with pytest.raises(UsageError, match=r"use_amp: ONEDNN_MAX_CPU_ISA=AVX2 rules out bfloat16"):
        prepare(build(model_settings(spec)), training_run(spec), 10, RankInfo(), amp=True)


def test_scaling_changes_neither_gradients_nor_the_regularizer(tmp_path, monkeypatch):
    """float32 layers with a scaled loss take the same step as without, up to rounding by powers of two."""
    spec = toy_spec(tmp_path, training="regularizer { type: L2 weight: 0.01 }")
    results = []
    for policy in ("float32", "mixed_float16"):
        monkeypatch.setattr(prepare_module, "mixed_policy", lambda policy=policy: policy)
        monkeypatch.setattr(prepare_module, "set_precision", lambda model, policy: None)
        keras.utils.set_random_seed(1)
        model = build(model_settings(spec))
        prepare(model, training_run(spec), 10, RankInfo(), amp=True)
        batch = next(iter(prepared_batches(spec)))
        logs = model.train_step(batch)
        results.append((model.get_weights(), float(logs["gradient_norm"]), float(logs["loss"])))
    (plain, norm, loss), (scaled, scaled_norm, scaled_loss) = results
    assert (norm, loss) == pytest.approx((scaled_norm, scaled_loss), rel=1e-5)
    for one, other in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def prepared_batches(spec):
    return training_dataset(data_settings(spec)).batches


def test_an_optimizer_of_another_kind_starts_anew_at_the_same_step(tmp_path, caplog):
    spec = toy_spec(tmp_path)
    model = build(model_settings(spec))
    prepare(model, training_run(spec), 10, RankInfo(), amp=False)
    restore(model, None, 7, recounted=False, seed=0)
    assert int(model.optimizer.iterations) == 7
    assert "of the checkpoint (none) does not fit SGD" in caplog.text


def test_the_gradient_norm_is_that_of_all_gradients_together(tmp_path):
    spec = toy_spec(
        tmp_path,
        training="learning_rate { step { base_lr: 1.0 gamma: 1.0 } } optimizer { sgd { momentum: 0.0 } }",
    )
    model = build(model_settings(spec))
    prepare(model, training_run(spec), 10, RankInfo(), amp=False)
    before = [variable.numpy() for variable in model.trainable_variables]
    logs = model.train_step(next(iter(prepared_batches(spec))))
    # With plain SGD and a rate of 1 the step is the gradient.
    steps = [old - new.numpy() for old, new in zip(before, model.trainable_variables, strict=True)]
    expected = np.sqrt(sum(float(np.sum(np.square(step, dtype=np.float64))) for step in steps))
    assert float(logs["gradient_norm"]) == pytest.approx(expected, rel=1e-3)
