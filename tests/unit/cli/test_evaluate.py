import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from frcnn.cli.main import main
from frcnn.data.records.annotations import ImageRecord, Label
from frcnn.model.files.archive import RECORD
from tests.support.image_folders import PatchDetector, picture
from tests.support.loading import image_record, write_records
from tests.support.task_spec import write_spec

PATCH = (32, 40, 64, 100)  # y1, x1, y2, x2


@pytest.fixture
def loaded(monkeypatch):
    """Records the calls of the model loader, which returns a fake detector."""
    calls = []

    def load(path, expected, key, on_record):
        calls.append((path.name, str(key), expected.section.removesuffix("_config")))
        return PatchDetector()

    monkeypatch.setattr("frcnn.model.files.trained_detector.load_detector", load)
    return calls


@pytest.fixture
def data(tmp_path):
    """Three validation images with a person each, which the fake detector finds; one car it does not."""
    y1, x1, y2, x2 = PATCH
    person = Label("person", float(x1), float(y1), float(x2), float(y2))
    car = Label("car", 120.0, 90.0, 150.0, 120.0)
    pixels = np.asarray(picture(PATCH, 128, 160))
    records = [image_record(n, (person, car) if n == 0 else (person,), pixels=pixels) for n in range(3)]
    write_records(tmp_path / "records/set-fold-000-of-002", records)
    write_records(tmp_path / "records/set-fold-001-of-002", records)
    (tmp_path / "model.keras").touch()
    return tmp_path


def without_images(path):
    """Removes the images from a record file."""
    y1, x1, y2, x2 = PATCH
    person = Label("person", float(x1), float(y1), float(x2), float(y2))
    car = Label("car", 120.0, 90.0, 150.0, 120.0)
    write_records(
        path,
        [ImageRecord(f"images/{n:06d}", 128, 160, (person, car) if n == 0 else (person,)) for n in range(3)],
    )


def run(data, *words, evaluation=""):
    fields = f"batch_size: 2 object_confidence_thres: 0.5 {evaluation}"
    spec = write_spec(data / "spec.txt", records=f"{data}/records/*", images=data, evaluation=fields)
    return main(["evaluate", "-e", str(spec), *map(str, words)])


def test_the_table_is_printed_and_everything_else_goes_to_the_results_folder(data, loaded, capsys):
    results = data / "results"
    words = ("-m", data / "model.keras", "-k", "secret", "-r", results)
    assert run(data, *words, evaluation="visualize_pr_curve: true") == 0
    shown = capsys.readouterr().out
    assert "car                 0.0000              -                   0.0000              0.0000" in shown
    assert "person              1.0000              1.0000              1.0000              1.0000" in shown
    assert "mAP@0.5 = 0.5000" in shown
    assert shown.endswith("Execution status: PASS\n")
    names = sorted(path.name for path in results.iterdir())
    assert names == ["PR_curve.png", "PR_curve_iou0.50.png", "metrics.json", "report.html", "status.json"]
    assert str(results / "PR_curve.png") in shown
    page = (results / "report.html").read_text("utf-8")
    assert "<h1>Evaluation of resnet:10</h1>" in page and f"Model: {data / 'model.keras'}<" in page
    assert loaded == [("model.keras", "secret", "evaluation")]


def test_metrics_and_status_hold_the_numbers(data, loaded):
    run(data, "-m", data / "model.keras", "-r", data / "results")
    metrics = json.loads((data / "results/metrics.json").read_text())
    assert (metrics["mAP"], metrics["images"]) == (0.5, 3)
    assert metrics["iou"]["0.50"]["classes"]["person"]["true_positives"] == 3
    last = json.loads((data / "results/status.json").read_text().splitlines()[-1])
    assert last["status"] == "SUCCESS"
    assert last["kpi"] == {"mAP@0.50": 0.5, "mAP": 0.5}


def test_without_a_results_folder_curves_lie_beside_the_model(data, loaded):
    curves = (
        "visualize_pr_curve: true gt_matching_iou_threshold_range { start: 0.5 end: 0.7 step: 0.1 } "
        f'model: "{data}/model.keras"'
    )
    assert run(data, evaluation=curves) == 0
    assert sorted(path.name for path in data.glob("PR*")) == ["PR_curve_iou0.50.png", "PR_curve_iou0.60.png"]
    assert not list(data.glob("*.json"))


def test_the_flag_for_the_model_wins_over_the_spec(data, loaded):
    (data / "other.keras").touch()
    assert run(data, "--model", data / "other.keras", evaluation=f'model: "{data}/model.keras"') == 0
    assert loaded[0][0] == "other.keras"


def test_an_engine_of_the_deprecated_message_wins_over_the_model(data, loaded, monkeypatch):
    engines = []
    monkeypatch.setattr(
        "frcnn.inference.tensorrt.load_engine_detector",
        lambda path, expected, device: engines.append((path.name, expected.section)) or PatchDetector(),
    )
    (data / "model.engine").write_bytes(b"ptrt\0")
    engine = f'model: "{data}/model.keras" trt_evaluation {{ trt_engine: "{data}/model.engine" }}'
    assert run(data, evaluation=engine) == 0
    assert (engines, loaded) == ([("model.engine", "evaluation_config")], [])


def test_an_engine_without_a_gpu_is_refused_in_one_line(data, caplog):
    (data / "model.engine").write_bytes(b"ptrt\0")
    assert run(data, "-m", data / "model.engine") == 1
    assert (
        "model.engine: recognized as a TensorRT engine by its name. TensorRT needs an NVIDIA GPU"
        in caplog.text
    )


def test_a_runtime_is_for_exported_models_only(data, loaded, caplog):
    assert run(data, "-m", data / "model.keras", "--runtime", "openvino") == 2
    assert "--runtime openvino: " in caplog.text and "a trained model, which Keras runs" in caplog.text
    assert run(data, "-m", data / "model.keras", "--precision_hint", "bf16") == 2
    assert "--precision_hint bf16: only the runtime openvino takes one" in caplog.text


def test_flags_that_the_reference_ignores_are_accepted(data, loaded):
    assert run(data, "--model_path", data / "model.keras", "-i", "x", "-l", "y", "-b", "8") == 0


def test_other_records_than_those_of_the_spec_can_be_named(data, loaded, capsys):
    (data / "records/set-fold-000-of-002").rename(data / "test-records")
    words = ("-m", data / "model.keras", "--tfrecords", data / "test-*", "--images", data)
    assert run(data, *words) == 0
    assert "mAP@0.5 = 0.5000" in capsys.readouterr().out
    assert run(data, "-m", data / "model.keras", "--images", data / "gone") == 2
    assert "gone: no such folder" in capsys.readouterr().err


def test_images_are_refused_for_validation_records_that_contain_theirs(data, loaded, capsys):
    """Otherwise, the result would silently be that of the old images."""
    (data / "other").mkdir()
    assert run(data, "-m", data / "model.keras", "--images", data / "other") == 2
    said = capsys.readouterr()
    assert "other: the validation records contain their images, so the folder would not be used" in said.err
    assert "convert them and pass their records with --tfrecords" in said.err
    assert "mAP" not in said.out


def test_the_images_of_the_validation_set_can_lie_elsewhere(data, loaded, capsys):
    without_images(data / "records/set-fold-000-of-002")
    (data / "moved/images").mkdir(parents=True)
    assert run(data, "-m", data / "model.keras", "--images", data / "moved") == 1
    assert "found no image" in capsys.readouterr().err
    for number in range(3):
        Image.fromarray(np.asarray(picture(PATCH, 128, 160))).save(data / f"moved/images/{number:06d}.png")
    assert run(data, "-m", data / "model.keras", "--images", data / "moved") == 0
    assert "mAP@0.5 = 0.5000" in capsys.readouterr().out


def test_images_that_are_not_used_with_other_records_are_warned_about(data, loaded, caplog):
    words = ("-m", data / "model.keras", "--tfrecords", data / "records/set-fold-001-*")
    assert run(data, *words, "--images", data) == 0
    assert f"contain their images, so --images {data} is not used" in caplog.text
    caplog.clear()
    assert run(data, *words) == 0
    assert "is not used" not in caplog.text


def test_messages_about_given_records_name_the_flags_to_change(data, loaded, capsys):
    without_images(data / "records/set-fold-000-of-002")
    words = ("-m", data / "model.keras", "--tfrecords")
    assert run(data, *words, data / "records/set-fold-000-*") == 1
    said = capsys.readouterr().err
    assert "--tfrecords: found no image (checked 3 images, such as " in said
    assert "--images DIR" in said
    assert "validation set" not in said and "image_directory_path" not in said
    assert run(data, *words, data / "gone-*") == 1
    assert f"--tfrecords: '{data}/gone-*' matches no file" in capsys.readouterr().err


def test_the_advice_at_a_low_map_knows_the_epochs_of_the_model(data, loaded, capsys, monkeypatch):
    record = {
        "arch": "resnet:10",
        "class_names": ["car"],
        "epoch": 2,
        "step": 8,
        "spec_text": "",
        "metrics": {},
    }
    with zipfile.ZipFile(data / "model.keras", "w") as archive:
        archive.writestr(RECORD, json.dumps(record))
    monkeypatch.setattr("frcnn.evaluation.advice.LOW_MAP", 0.9)
    assert run(data, "-m", data / "model.keras") == 0
    first = capsys.readouterr().out.split("What to try next:\n")[1].splitlines()[0]
    assert first.startswith("  - Train for longer first (--epochs): the model was trained for only 2 epochs.")


def test_no_model_at_all_is_a_fault_of_the_spec(data, loaded, capsys):
    assert run(data) == 2
    shown = capsys.readouterr()
    assert "evaluation_config.model: not set; set it or use -m" in shown.err
    assert shown.out.endswith("Execution status: FAIL\n")


def test_a_missing_model_is_named_before_any_data_is_read(data, loaded, capsys):
    assert run(data, "-m", data / "gone.keras") == 1
    assert f"{data}/gone.keras, given by -m, does not exist" in capsys.readouterr().err
    assert loaded == []


def test_a_fold_that_matches_nothing_is_an_error(data, loaded, capsys):
    for path in (data / "records").glob("*fold-000*"):
        path.unlink()
    assert run(data, "-m", data / "model.keras", "-r", data / "results") != 0
    assert not (data / "results/metrics.json").exists()
    assert "fold" in capsys.readouterr().err
