"""The whole way with images of different sizes: train, resume, evaluate, look at a folder, prune."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest

from frcnn.data.input.dataset import training_dataset, validation_dataset
from frcnn.errors import ModelError
from frcnn.evaluation.evaluator import evaluate
from frcnn.inference.predictor import predict
from frcnn.model.build import build
from frcnn.model.files.checkpoint import load_model, save_model
from frcnn.model.files.trained_detector import load_detector
from frcnn.model.files.training_record import TrainingRecord
from frcnn.pruning.prune import plan_detector, prune
from frcnn.pruning.settings import PruneSettings
from frcnn.settings.data import data_settings, image_settings
from frcnn.settings.evaluation import evaluation_settings
from frcnn.settings.model import expected_model, model_settings, training_settings
from frcnn.settings.training import training_run
from frcnn.spec.schema.model import SizeHeightWidth
from frcnn.training.trainer import train
from tests.support.toy_training import scene, toy_spec

SIZES = [(128, 160), (160, 128), (128, 300)]
EPOCHS = (
    "num_epochs: 2 batch_size_per_gpu: 2 optimizer { adam { } } "
    "learning_rate { step { base_lr: 0.001 gamma: 1.0 step_size: 30 } }"
)
EVALUATION = "batch_size: 3 rpn_pre_nms_top_N: 100 rpn_nms_max_boxes: 20"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two epochs of batches of two images: the folder, the spec and the result."""
    folder = tmp_path_factory.mktemp("toy")
    spec = toy_spec(folder, images=4, validation=3, training=EPOCHS, evaluation=EVALUATION, sizes=SIZES)
    return folder, spec, train(training_run(spec), folder / "results")


def test_it_learns_and_resumes_exactly(finished, tmp_path):
    folder, _, result = finished
    first = folder / "results" / "frcnn_resnet_10.epoch_1.keras"
    losses = [load_model(path)[1].metrics["loss"] for path in (first, result.checkpoint)]
    assert losses[1] < losses[0]
    shutil.copyfile(first, tmp_path / first.name)
    more = f'{EPOCHS} resume_from_model: "{tmp_path / first.name}"'
    spec = toy_spec(tmp_path, images=4, validation=3, training=more, evaluation=EVALUATION, sizes=SIZES)
    again = train(training_run(spec), tmp_path / "results")
    for one, other in zip(*(load_model(r.checkpoint)[0].get_weights() for r in (result, again)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_compiled_step_serves_all_shapes(finished, monkeypatch):
    _, spec, _ = finished
    data = training_dataset(data_settings(spec))
    shapes = {tuple(batch["images"].shape) for batch in data.batches.take(6)}
    assert len(shapes) > 1
    model = build(model_settings(spec))
    model.training_settings = training_settings(spec)
    model.compile(optimizer=keras.optimizers.SGD(1e-4))
    traced, original = [], model.compute_losses
    monkeypatch.setattr(
        model, "compute_losses", lambda batch: traced.append(batch["images"].shape) or original(batch)
    )
    model.fit(data.batches, steps_per_epoch=6, shuffle=False, verbose=0)
    assert [tuple(shape) for shape in traced] == [(2, None, None, 3)]


def test_evaluation_sees_every_image_within_its_own_size(finished):
    _, spec, result = finished
    detector = load_detector(result.checkpoint, expected_model(spec))
    dataset = validation_dataset(data_settings(spec), batch_size=3)
    report = evaluate(detector, dataset, evaluation_settings(spec))
    assert report.images == 3
    assert report.mean_ap == pytest.approx(result.mean_ap, abs=1e-6)
    for batch in dataset.batches.as_numpy_iterator():
        found = detector(batch["images"], batch["size"])
        assert (found.boxes <= (batch["size"][:, None, [0, 1, 0, 1]] - 1)).all()
    assert detector.traces == 1


def test_inference_pads_a_batch_and_gives_pixels_of_the_originals(finished, tmp_path):
    _, spec, result = finished
    sizes = [(128, 160), (160, 128), (90, 400)]
    for number, size in enumerate(sizes):
        (tmp_path / f"{number}.png").write_bytes(scene(number, *size).encoded)
    paths = sorted(tmp_path.iterdir())
    settings = image_settings(spec)

    def run(batch_size):
        detector = load_detector(result.checkpoint, expected_model(spec))
        return list(predict(detector, paths, settings, batch_size=batch_size, score_threshold=0.01))

    for alone, together, (height, width) in zip(run(1), run(2), sizes, strict=True):
        assert together.path == alone.path
        assert len(together.boxes) > 0
        assert (together.boxes <= [height - 1, width - 1] * 2).all()


def test_a_pruned_model_keeps_its_shape_and_trains_on(finished, tmp_path):
    _, spec, result = finished
    model, _ = load_model(result.checkpoint)
    pruned = prune(model, PruneSettings(pruning_threshold=0.9)).model
    assert pruned.count_params() < model.count_params()
    assert pruned.geometry == model.geometry
    pruned.training_settings = training_settings(spec)
    pruned.compile(optimizer=keras.optimizers.SGD(1e-4))
    losses = [
        float(pruned.train_step(b)["loss"]) for b in training_dataset(data_settings(spec)).batches.take(2)
    ]
    assert np.isfinite(losses).all()


def test_costs_of_a_dynamic_model_are_those_of_a_square_image_of_the_shorter_side(finished, tmp_path):
    _, spec, _ = finished
    size = spec.model_config.input_image_config
    size = dataclasses.replace(size, size_min=None, size_height_width=SizeHeightWidth(height=128, width=128))
    fixed = dataclasses.replace(
        spec, model_config=dataclasses.replace(spec.model_config, input_image_config=size)
    )
    costs = [
        plan_detector(build(model_settings(each)), PruneSettings()).report.before for each in (spec, fixed)
    ]
    assert costs[0] == costs[1]


def test_static_and_dynamic_files_and_specs_do_not_mix(finished, tmp_path):
    _, spec, result = finished
    static = toy_spec(tmp_path, images=1, validation=1, evaluation=EVALUATION)
    message = (
        r"epoch_2\.keras: trained for input size_min 128 px, output_image_max 320 px \(dynamic shape\); "
        r"the spec says 128x160 \(height x width\)"
    )
    with pytest.raises(ModelError, match=message):
        load_detector(result.checkpoint, expected_model(static))
    save_model(
        build(model_settings(static)),
        tmp_path / "static.keras",
        TrainingRecord("resnet:10", static.class_names),
    )
    with pytest.raises(ModelError, match=r"trained for input 128x160 .*; the spec says size_min 128 px"):
        load_detector(tmp_path / "static.keras", expected_model(spec))


def test_another_short_side_is_only_warned_of(finished, caplog):
    _, spec, result = finished
    image = spec.model_config.input_image_config
    image = dataclasses.replace(image, size_min=dataclasses.replace(image.size_min, min=192))
    other = dataclasses.replace(
        spec, model_config=dataclasses.replace(spec.model_config, input_image_config=image)
    )
    load_detector(result.checkpoint, expected_model(other))
    assert "trained on input size_min 128 px" in caplog.text
    assert "the spec says size_min 192 px" in caplog.text
