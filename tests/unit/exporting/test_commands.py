"""`frcnn export` and `frcnn onnx verify` from flags to files."""

import json
import shutil

import keras
import numpy as np
import onnx
import pytest

from frcnn.cli.main import main
from frcnn.model.files.checkpoint import load_model, save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.sealing.sealed_file import header_of
from frcnn.settings.training import training_run
from frcnn.spec import load_experiment
from tests.support.image_folders import picture, save
from tests.support.toy_training import scene, toy_spec
from tests.unit.cli.conftest import process_left_alone  # noqa: F401


@pytest.fixture
def work(exported, converted_once, tmp_path):
    """A folder with the model and its spec; exports do not convert it again."""
    for name in ("model.keras", "model.onnx", "spec.txt"):
        shutil.copy(exported.folder / name, tmp_path / name)
    for index in range(2):
        save(tmp_path / f"images/{index}.png", picture((32, 40, 64 + 20 * index, 100), 128, 160))
    return tmp_path


def export(work, *words):
    return main(["export", "-e", str(work / "spec.txt"), "-m", str(work / "model.keras"), *map(str, words)])


def verify(work, *words, against="model.keras"):
    flags = ("--against", work / against, "-e", work / "spec.txt", "--images", work / "images")
    return main(["onnx", "verify", *map(str, (work / "model.onnx", *flags, *words))])


def test_an_existing_output_needs_force(work, capsys, caplog):
    before = (work / "model.onnx").read_bytes()
    (work / "model.onnx").write_bytes(b"mine")
    assert export(work) == 2
    assert "model.onnx: exists" in caplog.text
    assert (work / "model.onnx").read_bytes() == b"mine"
    assert export(work, "--force") == 0
    assert (work / "model.onnx").read_bytes() == before
    assert f"exported model: {work}/model.onnx" in capsys.readouterr().out


def test_a_name_without_a_known_suffix_gets_one(work):
    assert export(work, "-o", work / "out/model") == 0
    assert [path.name for path in (work / "out").iterdir()] == ["model.onnx"]


def test_etlt_is_sealed_with_the_key(work):
    assert export(work, "-o", work / "model.etlt", "-k", "secret") == 0
    assert header_of(work / "model.etlt").kind == "onnx"


@pytest.mark.parametrize("way", ["flag", "variable", "spec"])
def test_with_a_key_and_no_name_the_sealed_model_goes_to_the_present_folder(work, monkeypatch, capsys, way):
    (work / "here").mkdir()
    monkeypatch.chdir(work / "here")
    monkeypatch.delenv("FRCNN_KEY", raising=False)
    if way == "variable":
        monkeypatch.setenv("FRCNN_KEY", "secret")
    if way == "spec":
        with (work / "spec.txt").open("a") as spec:
            spec.write('enc_key: "secret"\n')
    assert export(work, *(["-k", "secret"] if way == "flag" else [])) == 0
    assert [path.name for path in (work / "here").iterdir()] == ["model.etlt"]
    assert header_of(work / "here/model.etlt").kind == "onnx"
    assert "exported model: model.etlt" in capsys.readouterr().out
    assert export(work, "-k", "secret") == 2  # it exists


def test_deepstream_gets_the_graph_it_runs(work, caplog):
    assert export(work, "-o", work / "ds/model.onnx", "--gen_ds_config") == 0
    operators = {node.op_type for node in onnx.load(work / "ds/model.onnx").graph.node}
    assert {"ProposalDynamic", "NMSDynamic_TRT"} <= operators
    words = ("-o", work / "other/model.onnx", "--gen_ds_config", "--graph", "standard")
    assert export(work, *words) == 2
    assert "--gen_ds_config: DeepStream runs the plugin graph only" in caplog.text
    assert not (work / "other").exists()
    assert "cannot open a sealed file" not in caplog.text
    assert export(work, "-o", work / "ds/sealed.etlt", "--gen_ds_config", "--force", "-k", "secret") == 0
    assert "DeepStream cannot open a sealed file. Choose an output file that ends in .onnx." in caplog.text


def test_the_pipelines_step_exports_the_graph_that_its_next_steps_run(work):
    from components.export.main import main as export_step

    words = ("--model", work / "model.keras", "--spec", work / "spec.txt", "--exported", work / "exported")
    assert export_step([str(word) for word in words]) == 0
    names = sorted(path.name for path in (work / "exported").iterdir())
    assert names == ["labels.txt", "model.onnx", "spec.txt"]
    assert (work / "exported/labels.txt").read_text() == "car\nperson\nbackground\n"
    assert {node.domain for node in onnx.load(work / "exported/model.onnx").graph.node} == {""}


def test_deepstream_files_lie_beside_the_output(work, caplog):
    words = ("-o", work / "ds/model.onnx", "--gen_ds_config", "-r", work / "results")
    assert export(work, *words) == 0
    assert (work / "ds/labels.txt").read_text() == "car\nperson\nbackground\n"
    assert "infer-dims=3;128;160" in (work / "ds/nvinfer_config.txt").read_text()
    last = json.loads((work / "results/status.json").read_text().splitlines()[-1])
    assert last["status"] == "SUCCESS"
    (work / "ds/model.onnx").unlink()
    assert export(work, *words) == 2
    assert "labels.txt" in caplog.text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--batches", "0"], "--batches 0: expected 1 or more"),
        (["--data_type", "int8", "--cal_image_dir", "gone"], "--cal_image_dir gone: no such folder"),
        (["--graph", "plugin", "--int8_profile", "cpu"], "--int8_profile cpu: only TensorRT runs"),
        (
            ["--engine_file", "x.engine", "--int8_profile", "cpu"],
            "--int8_profile cpu: TensorRT requires the profile tensorrt",
        ),
        (["--engine_file", "x.engine", "--min_batch_size", "0"], "expected 1 <= min <= opt <= max"),
        (["--target_opset", "12"], "18 to 21"),
        (["--static_batch_size", "0"], "expected 1 or more"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(work, caplog, words, told):
    assert export(work, "-o", work / "new.onnx", *words) == 2
    assert told in caplog.text
    assert not (work / "new.onnx").exists()


def test_verify_passes_what_is_equal(work, capsys):
    assert verify(work, "--limit", 1) == 0
    shown = capsys.readouterr().out
    assert "images                                           1" in shown
    assert "0.000 %" in shown


def test_the_fast_head_is_exported_and_passes_too(work, capsys):
    assert export(work, "--force", "--cpu_fast_head") == 0
    assert verify(work) == 0
    assert "0.000 %" in capsys.readouterr().out
    assert (work / "model.onnx").stat().st_size > 2 * (work / "model.keras").stat().st_size


def test_verify_takes_a_results_folder_for_the_model_it_came_from(work, capsys):
    (work / "results").mkdir()
    shutil.copy(work / "model.keras", work / "results/frcnn_resnet_10.epoch_3.keras")
    assert verify(work, "--limit", 1, against="results") == 0
    assert "0.000 %" in capsys.readouterr().out


def test_verify_fails_another_model(work, exported, caplog):
    model, _ = load_model(work / "model.keras")
    kernel = model.roi_head.get_layer("dense_class_td").kernel
    kernel.assign(kernel.value * 0.5)
    save_model(model, work / "other.keras", TrainingRecord("resnet:10", exported.spec.class_names))
    assert verify(work, against="other.keras") == 1
    assert "differs from" in caplog.text
    assert "Check that it was exported from that model, with this spec." in caplog.text


def test_verify_wants_a_folder_of_images(work, caplog):
    shutil.rmtree(work / "images")
    assert verify(work) == 2
    assert "no such folder" in caplog.text


def test_a_trained_model_is_exported_verified_evaluated_and_used(tmp_path, capsys, caplog):
    from frcnn.training.trainer import train

    keras.utils.set_random_seed(0)
    steady = "learning_rate { step { base_lr: 0.001 gamma: 1.0 step_size: 30 } }"
    training = f"num_epochs: 2 batch_size_per_gpu: 2 optimizer {{ adam {{ }} }} {steady}"
    images = f'images_dir: "{tmp_path}/images"'
    evaluation = "batch_size: 2 gt_matching_iou_threshold: 0.5"
    toy_spec(tmp_path, training=training, evaluation=evaluation)
    # A few steps do not settle the moving statistics: with them in training too, scores are moderate.
    more = f"model_config {{ freeze_bn: true }} inference_config {{ {images} batch_size: 2 }}\n"
    path = tmp_path / "spec.txt"
    path.write_text(path.read_text() + more, encoding="utf-8")
    spec = load_experiment(path)
    model = train(training_run(spec), tmp_path / "results").checkpoint
    (tmp_path / "images").mkdir()
    for number in range(2):
        (tmp_path / f"images/{number}.png").write_bytes(scene(number).encoded)
    base = ("-e", str(path), "-m")
    assert main(["export", *base, str(model), "-o", f"{tmp_path}/model.onnx"]) == 0
    onnx.checker.check_model(tmp_path / "model.onnx", full_check=True)
    words = ("--against", str(model), "-e", str(path), "--images", f"{tmp_path}/images", "--map")
    assert main(["onnx", "verify", f"{tmp_path}/model.onnx", *words]) == 0
    assert main(["evaluate", *base, f"{tmp_path}/model.onnx", "--as_is"]) == 0
    assert "CPU form" not in caplog.text
    assert main(["evaluate", *base, f"{tmp_path}/model.onnx"]) == 0
    assert "CPU form" in caplog.text
    assert "mAP@0.5" in capsys.readouterr().out
    assert main(["evaluate", *base, f"{tmp_path}/model.onnx", "--runtime", "openvino"]) == 0
    assert "mAP@0.5" in capsys.readouterr().out
    assert main(["inference", *base, f"{tmp_path}/model.onnx", "-r", f"{tmp_path}/found"]) == 0
    labels = [each.read_text() for each in sorted((tmp_path / "found/labels").glob("*.txt"))]
    assert len(labels) == 2
    assert np.all([len(each.split()) == 16 for text in labels for each in text.splitlines()])
