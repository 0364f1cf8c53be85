"""The tasks as functions, on a training so small that it can be run whole: files in, results out."""

import concurrent.futures
import dataclasses
import logging
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import frcnn
from frcnn.errors import DataError, ModelError, RunError, SpecError, UsageError
from frcnn.single_writer import PlaceBusyError, only_writer_in
from tests.support.loading import write_records
from tests.support.toy_training import scene, toy_spec


@dataclasses.dataclass
class Trained:
    spec: frcnn.Spec
    folder: object
    result: frcnn.TrainResult
    epochs: list
    progress: list
    records: list


class Records(logging.Handler):
    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    spec = toy_spec(folder, images=4, validation=2)
    spec = spec.updated({"inference_config.bbox_visualize_threshold": 0.05})
    epochs, progress, handler = [], [], Records()
    logger = logging.getLogger("frcnn")
    before = logger.level, np.random.get_state()[1].copy(), dict(os.environ)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        result = frcnn.train(
            spec, folder / "results", num_epochs=2, on_epoch=epochs.append, on_progress=progress.append
        )
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"} == {
        name: value for name, value in before[2].items() if name != "KERAS_BACKEND"
    }
    return Trained(spec, folder, result, epochs, progress, handler.texts)


def test_a_training_tells_of_its_epochs_and_leaves_a_model(trained):
    result = trained.result
    assert result.model.is_file() and result.model.parent == trained.folder / "results"
    assert (result.last.name, result.epochs) == ("frcnn_resnet_10.epoch_2.keras", 2)
    assert [(each.epoch, each.epochs) for each in trained.epochs] == [(1, 2), (2, 2)]
    assert [each.epoch for each in result.history] == [1, 2]
    assert result.history[-1].losses["loss"] == pytest.approx(result.loss)
    assert trained.epochs[-1].mean_ap == pytest.approx(result.history[-1].mean_ap)
    assert result.mean_ap == pytest.approx(max(each.mean_ap for each in trained.epochs))


def test_progress_and_log_records_come_out_of_the_child(trained):
    assert {each.task for each in trained.progress} >= {"training", "validating"}
    assert all(each.total is None or 0 <= each.done <= each.total for each in trained.progress)
    assert any("epoch 2/2" in each for each in trained.records)


@pytest.mark.slow
def test_a_training_that_is_done_is_not_begun_again(trained):
    again = frcnn.train(trained.spec, trained.folder / "results", num_epochs=2, resume=True)
    assert (again.last, again.best, again.epochs) == (trained.result.last, trained.result.best, 2)
    assert again.history == trained.result.history


@pytest.mark.slow
def test_false_ends_the_training_with_a_checkpoint_and_resume_goes_on(trained, tmp_path):
    result = frcnn.train(trained.spec, tmp_path, num_epochs=3, on_epoch=lambda epoch: False)
    assert (result.epochs, result.last.name) == (1, "frcnn_resnet_10.epoch_1.keras")
    seen = []
    more = frcnn.train(trained.spec, tmp_path, num_epochs=2, resume=True, on_epoch=seen.append)
    assert [each.epoch for each in seen] == [2]
    assert [each.epoch for each in more.history] == [1, 2]
    # The same seed and machine: the same bits, interrupted or not.
    assert more.loss == trained.result.loss


@pytest.mark.slow
def test_an_exception_in_a_callback_cancels_the_training(trained, tmp_path):
    class CancelledError(Exception):
        pass

    def cancel(epoch):
        raise CancelledError

    with pytest.raises(CancelledError):
        frcnn.train(trained.spec, tmp_path, num_epochs=3, on_epoch=cancel)
    # The epoch was saved before its validation, and no other was trained.
    assert [path.name for path in tmp_path.glob("*.keras")] == ["frcnn_resnet_10.epoch_1.keras"]


@pytest.mark.slow
def test_an_error_of_the_child_is_an_error_here(trained, tmp_path):
    (tmp_path / "broken.keras").write_text("no model")
    with pytest.raises(ModelError, match=r"broken\.keras: "):
        frcnn.train(trained.spec, tmp_path / "out", retrain_pruned_model=tmp_path / "broken.keras")
    with pytest.raises(DataError, match="no-such"):
        spec = trained.spec.updated({"dataset_config.data_sources[0].tfrecords_path": "/no-such/*"})
        frcnn.train(spec, tmp_path / "out")


def test_a_training_process_that_is_killed_is_an_error(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("frcnn.api.isolated_training._MODULE", "tests.support.killed_program")
    with pytest.raises(RunError, match=r"the training process was killed \(signal 9\).*memory ran out"):
        frcnn.train(trained.spec, tmp_path)


def test_evaluation_by_the_models_own_spec_is_that_of_the_training(trained, tmp_path, capfd):
    result = frcnn.evaluate(trained.result.model, results_dir=tmp_path)
    assert result.mean_ap == pytest.approx(trained.result.mean_ap, abs=1e-6)
    assert result.images == 2 and set(result.classes) == {"car", "person"}
    assert result.classes["car"].objects == 1
    assert result.at(0.5) == result.classes and result.ious == (0.5,)
    assert {path.name for path in result.files} == {"metrics.json", "report.html"}
    assert "mAP@0.5" in result.table() and result.to_dict()["images"] == 2
    assert capfd.readouterr().out == ""
    with pytest.raises(UsageError, match=r"iou 0\.9: expected one of 0\.50"):
        result.at(0.9)


def test_a_second_evaluation_into_a_folder_is_refused(trained, tmp_path):
    held, done = threading.Event(), threading.Event()

    def hold():
        with only_writer_in(tmp_path, "evaluate"):
            held.set()
            done.wait()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(hold)
        held.wait()
        try:
            with pytest.raises(PlaceBusyError, match="is writing there"):
                frcnn.evaluate(trained.result.model, results_dir=tmp_path)
        finally:
            done.set()
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".frcnn")] == []


@pytest.mark.parametrize("difficult", [False, True])
def test_an_evaluation_without_images_or_objects_that_count_says_so(trained, tmp_path, caplog, difficult):
    records = [scene(200)]
    if difficult:
        labels = tuple(dataclasses.replace(label, occlusion=1) for label in records[0].labels)
        records = [dataclasses.replace(records[0], labels=labels)]
    else:
        records = [dataclasses.replace(records[0], encoded=b"no image")]
    write_records(tmp_path / "set", records)
    if difficult:
        result = frcnn.evaluate(trained.result.model, tfrecords=str(tmp_path / "set"))
        assert result.mean_ap is None
        assert "All 1 objects of car, person are difficult" in caplog.text
        return
    with pytest.raises(DataError, match="none of the 1 images to evaluate on could be read"):
        frcnn.evaluate(trained.result.model, tfrecords=str(tmp_path / "set"), results_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_evaluation_tells_of_its_progress(trained):
    seen = []
    frcnn.evaluate(trained.result.model, on_progress=seen.append)
    assert seen[-1].task == "evaluating" and seen[-1].done == seen[-1].total


def test_pruning_writes_a_narrower_model_or_says_what_it_would(trained, tmp_path):
    dry = frcnn.prune(trained.result.model, target_params=0.5)
    assert dry.model is None and 0 < dry.pruning_ratio <= 0.5
    pruned = frcnn.prune(trained.result.model, tmp_path / "pruned.keras", target_params=0.5)
    assert (pruned.pruning_ratio, pruned.threshold) == (dry.pruning_ratio, dry.threshold)
    assert pruned.model.stat().st_size < 0.7 * trained.result.model.stat().st_size
    assert "total" in pruned.table() and pruned.to_dict()["params"]
    with frcnn.load(pruned.model) as detector:  # its spec is still in it
        assert detector.class_names == ("car", "person")
    with pytest.raises(UsageError, match=r"output_file .*pruned\.keras: exists"):
        frcnn.prune(trained.result.model, pruned.model)


def test_an_exported_model_finds_what_it_was_made_of(trained, tmp_path):
    exported = frcnn.export(trained.result.model, tmp_path / "model.onnx")
    assert exported.files == (exported.model,) and exported.engine is None
    images = _images(tmp_path / "images")
    same = frcnn.compare(exported.model, trained.result.model, images)
    assert same.ok and same.images == 3 and same.matched == same.expected
    with pytest.raises(UsageError, match=r"model\.onnx: exists; name another output"):
        frcnn.export(trained.result.model, tmp_path / "model.onnx")
    with frcnn.load(exported.model) as one, frcnn.load(trained.result.model) as other:
        path = images / "0.png"
        np.testing.assert_allclose(one.predict(path).xyxy, other.predict(path).xyxy, atol=0.05)


def _images(folder):
    from PIL import Image

    folder.mkdir()
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 20, 3), np.uint8)
        Image.fromarray(pixels.repeat(10, 0).repeat(10, 1)).save(folder / f"{seed}.png")
    return folder


def test_a_data_set_is_converted_by_a_spec_built_in_python(tmp_path):
    from frcnn.demo.dataset import write_demo_data
    from frcnn.spec import KITTIConfig

    write_demo_data(tmp_path / "kitti", images=10, seed=0, height=160, width=200)
    kitti = KITTIConfig(
        root_directory_path=tmp_path / "kitti",
        image_dir_name="images",
        label_dir_name="labels",
        image_extension=".jpg",
        partition_mode="random",
        num_partitions=2,
        val_split=20,
    )
    seen = []
    done = frcnn.convert(
        frcnn.ConvertSpec(kitti_config=kitti), tmp_path / "records/set", on_progress=seen.append
    )
    assert done.images == 10 and done.boxes.total() > 0
    assert all(path.is_file() for path in done.files)
    assert seen[-1].task == "converting"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frcnn.train(5, "out"), "found an object of type int; expected a Spec or a file name"),
        (lambda: frcnn.convert({}, "out"), "found an object of type dict; expected a ConvertSpec"),
        (lambda: frcnn.evaluate("m.keras", images="x"), "images requires tfrecords"),
        (lambda: frcnn.evaluate("m.keras", compare="x"), "compare requires results_dir"),
        (lambda: frcnn.compare("m", "m", ".", limit=0), "limit 0: expected 1 or more"),
        (lambda: frcnn.compare("m", "m", "no-such"), "images no-such: no such folder"),
        (lambda: frcnn.prune("m.keras", normalizer="L3"), "normalizer L3: expected one of"),
        (lambda: frcnn.prune("m", pruning_threshold=0.1, target_params=0.5), "contradict each other"),
        (lambda: frcnn.Int8(batches=0), "batches 0: expected 1 or more"),
    ],
)
def test_arguments_that_cannot_be_are_named(call, message):
    with pytest.raises((UsageError, SpecError), match=message):
        call()


def test_outputs_do_not_go_to_s3(trained):
    with pytest.raises(UsageError, match="results_dir s3://b/k: outputs go to a local path"):
        frcnn.train(trained.spec, "s3://b/k")


def test_num_epochs_is_at_least_one(trained, tmp_path):
    with pytest.raises(UsageError, match="num_epochs 0: expected 1 or more"):
        frcnn.train(trained.spec, tmp_path, num_epochs=0)


def test_another_backend_of_keras_is_refused(tmp_path):
    code = "import frcnn; frcnn.load('model.keras')"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Keras uses the backend jax (KERAS_BACKEND); expected tensorflow" in run.stderr
