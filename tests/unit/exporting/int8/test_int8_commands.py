"""`frcnn export` and `frcnn onnx verify` with INT8, from flags to files."""

import json
import shutil

import keras
import numpy as np
import onnx
import pytest

from frcnn.cli.main import main
from frcnn.exporting.int8.trained_ranges import TrainedRanges
from frcnn.settings.training import training_run
from frcnn.spec import load_experiment
from tests.support.image_folders import save
from tests.support.loading import noise_image
from tests.support.toy_training import scene, toy_spec
from tests.unit.cli.conftest import process_left_alone  # noqa: F401


@pytest.fixture
def work(exported, converted_once, tmp_path):
    """A folder with the model, its spec and images."""
    for name in ("model.keras", "spec.txt"):
        shutil.copy(exported.folder / name, tmp_path / name)
    for number in range(4):
        save(tmp_path / f"images/{number}.png", noise_image(number, 128, 160))
    return tmp_path


def export(work, *words):
    flags = ("-e", work / "spec.txt", "-m", work / "model.keras", "-o", work / "int8.onnx")
    return main(["export", *map(str, (*flags, *words))])


def calibrated(work, *words):
    few = ("--cal_image_dir", work / "images", "--batches", 2, "--batch_size", 2)
    return export(work, "--data_type", "int8", *few, *words)


def scales(path):
    lines = path.read_text().splitlines()
    bits = dict(line.rsplit(": ", 1) for line in lines[1:])
    return lines[0], {
        name: float(np.frombuffer(bytes.fromhex(text), ">f4")[0]) for name, text in bits.items()
    }


def test_int8_with_cache_and_json(work, capsys):
    words = ("--cal_cache_file", work / "cal.bin", "--cal_json_file", work / "scales.json")
    assert calibrated(work, *words) == 0
    shown = capsys.readouterr().out
    assert "standard graph, int8 (cpu), input 3x128x160" in shown
    assert f"calibration cache: {work}/cal.bin" in shown
    proto = onnx.load(work / "int8.onnx")
    assert (work / "int8.onnx").stat().st_size < 0.3 * (work / "model.keras").stat().st_size
    head, found = scales(work / "cal.bin")
    assert head == "TRT-101300-EntropyCalibration2"
    limits = json.loads((work / "scales.json").read_text())["tensor_scales"]
    assert list(found) == list(limits)
    assert found == pytest.approx({name: limit / 127 for name, limit in limits.items()}, rel=1e-6)
    assert {"input_image", "features", "crops", "rpn_scores", "box_codes"} < set(limits)
    names = {name for node in proto.graph.node for name in node.output}
    assert set(limits) - {"input_image"} <= names
    # Means are subtracted: 1 of 0..255.
    assert 200 < limits["input_image"] <= 254


def test_outputs_that_exist_need_force(work, caplog):
    (work / "cal.bin").write_text("mine")
    assert calibrated(work, "--cal_cache_file", work / "cal.bin") == 2
    assert "cal.bin: exists; name another output" in caplog.text
    assert (work / "cal.bin").read_text() == "mine"
    assert not (work / "int8.onnx").exists()


def test_a_cache_can_be_had_for_a_float_graph(work):
    words = ("--cal_image_dir", work / "images", "--batches", 1, "--batch_size", 2)
    assert export(work, "--cal_cache_file", work / "cal.bin", *words) == 0
    assert scales(work / "cal.bin")[1]["features"] > 0
    assert not any(node.op_type == "QuantizeLinear" for node in onnx.load(work / "int8.onnx").graph.node)


def test_too_few_images_are_counted_and_nothing_is_written(work, caplog):
    before = sorted(work.rglob("*"))
    words = ("--cal_data_file", work / "images.hdf5", "--cal_cache_file", work / "cal.bin", "--batches", 3)
    assert calibrated(work, *words) == 1
    assert "holds 4 images, but 6 are required (batches 3 x batch_size 2)" in caplog.text
    assert sorted(work.rglob("*")) == before


def test_flags_that_change_nothing_are_named(work, caplog):
    assert export(work, "--cal_method", "entropy", "--cal_json_file", work / "scales.json") == 0
    assert "Ignoring cal_method, cal_json_file: only INT8 or cal_cache_file needs" in caplog.text
    assert not (work / "scales.json").exists()


def test_images_of_all_sizes_cannot_be_int8(work, monkeypatch, caplog):
    monkeypatch.setattr("frcnn.data.transforms.preprocess.ImageSettings.dynamic", True)
    assert calibrated(work) == 2
    assert "INT8 needs a fixed input size" in caplog.text


@pytest.fixture
def learned(monkeypatch, exported):
    """The model counts as one with learned ranges."""
    trained = TrainedRanges({"input_image": 3.0, "crops": 2.0})
    for part in (exported.features, exported.head):
        name = "input_image" if part is exported.features else "crops"
        monkeypatch.setitem(part.marks, name, part.inputs[0])
    monkeypatch.setattr("frcnn.exporting.exporter.split_trained", lambda model: (model, trained))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_learned_ranges_want_a_json_file(work, learned, caplog, precision):
    assert export(work, "--data_type", precision) == 2
    assert "Name a file for its ranges, or set force_ptq to calibrate instead" in caplog.text
    assert not (work / "int8.onnx").exists()
    assert export(work, "--data_type", precision, "--cal_json_file", work / "scales.json") == 0
    written = json.loads((work / "scales.json").read_text())
    assert written == {"tensor_scales": {"input_image": 3.0, "crops": 2.0}}


def test_learned_ranges_can_be_passed_over(work, learned):
    assert calibrated(work, "--force_ptq", "--cal_json_file", work / "scales.json") == 0
    written = json.loads((work / "scales.json").read_text())["tensor_scales"]
    assert written["input_image"] > 200


@pytest.mark.parametrize("content", [b"no model", b"\x08\x08", b"PK\x03\x04"])
def test_a_model_that_is_not_ours_is_refused(work, caplog, content):
    (work / "model.keras").write_bytes(content)
    assert calibrated(work, "--cal_cache_file", work / "cal.bin") == 1
    assert "model.keras" in caplog.text
    assert not {"int8.onnx", "cal.bin"} & {path.name for path in work.iterdir()}


@pytest.mark.slow
def test_a_trained_model_keeps_its_accuracy(tmp_path, capsys):
    from frcnn.training.trainer import train

    keras.utils.set_random_seed(0)
    # Without the last epochs' smaller steps the mAP of a toy model jumps by tenths.
    rate = (
        "learning_rate { soft_start { base_lr: 0.001 start_lr: 0.0001 soft_start: 0.1 "
        "annealing_points: 0.7 annealing_points: 0.9 annealing_divider: 5.0 } }"
    )
    training = (
        f"num_epochs: 20 checkpoint_interval: 20 batch_size_per_gpu: 4 optimizer {{ adam {{ }} }} {rate}"
    )
    settings = (
        "batch_size: 4 rpn_pre_nms_top_N: 100 rpn_nms_max_boxes: 20 rpn_nms_overlap_threshold: 0.7 "
        "object_confidence_thres: 0.3 classifier_nms_max_boxes: 10 classifier_nms_overlap_threshold: 0.3 "
    )
    evaluation = f"{settings} gt_matching_iou_threshold: 0.5"
    toy_spec(tmp_path, images=64, validation=64, training=training, evaluation=evaluation)
    path = tmp_path / "spec.txt"
    inference = f"inference_config {{ {settings} bbox_visualize_threshold: 0.3 }}"
    more = f"model_config {{ freeze_bn: true }} {inference}\n"
    path.write_text(path.read_text() + more, encoding="utf-8")
    model = train(training_run(load_experiment(path)), tmp_path / "results").checkpoint
    for number in range(4):
        target = tmp_path / f"images/{number}.png"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(scene(number).encoded)
    for profile in ("cpu", "tensorrt"):
        words = ["-e", path, "-m", model, "-o", tmp_path / f"{profile}.onnx", "--data_type", "int8"]
        words += ["--int8_profile", profile, "--batches", 2, "--batch_size", 4]
        assert main(["export", *map(str, words)]) == 0
        words = [
            tmp_path / f"{profile}.onnx",
            "--against",
            model,
            "-e",
            path,
            "--images",
            tmp_path / "images",
        ]
        # Boxes near the IoU of 0.5 fall either way: one of the 64 objects is 0.016.
        assert main(["onnx", "verify", *map(str, words), "--map", "--map_tolerance", "0.07"]) == 0
        shown = capsys.readouterr().out
        assert float(shown.split("mAP: reference ")[1].split(",")[0]) > 0.9
