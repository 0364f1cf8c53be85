"""`frcnn model summary`."""

import pytest
from PIL import Image

from frcnn.cli.main import main
from frcnn.model.build import build
from frcnn.model.files.checkpoint import save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.sealing.sealed_file import seal
from frcnn.settings.model import model_settings
from frcnn.spec import load_experiment
from tests.support.task_spec import write_spec


def test_spec_and_file_of_the_same_detector_have_the_same_totals(tmp_path, capsys):
    spec = write_spec(tmp_path / "spec.txt")
    model = build(model_settings(load_experiment(spec)))
    save_model(model, tmp_path / "model.keras", TrainingRecord("resnet:10", ("car", "person")))
    outputs = []
    for file in (spec, tmp_path / "model.keras"):
        assert main(["model", "summary", str(file), "--parts", "--batch_size", "2"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert f"{model.count_params():,}" in outputs[0]
    assert "memory for 2 images" in outputs[0]


def test_every_layer_with_weights_has_its_line(tmp_path, capsys):
    spec = write_spec(tmp_path / "spec.txt")
    assert main(["model", "summary", str(spec)]) == 0
    lines = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line}
    model = build(model_settings(load_experiment(spec)))
    layers = [*model.features.layers, *model.roi_head.layers]
    assert {layer.name for layer in layers if layer.weights} <= lines


def test_a_results_folder_means_its_best_model(tmp_path, capsys):
    spec = load_experiment(write_spec(tmp_path / "spec.txt"))
    results = tmp_path / "results"
    save_model(
        build(model_settings(spec)),
        results / "frcnn_resnet_10.best.keras",
        TrainingRecord("resnet:10", spec.class_names),
    )
    (results / "frcnn_resnet_10.epoch_2.keras").write_bytes(b"broken")
    assert main(["model", "summary", str(results), "--parts"]) == 0
    assert "backbone" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["model", "summary", "MODEL"],
        ["prune", "-m", "MODEL", "--dry_run"],
        ["inference", "-e", "SPEC", "-m", "MODEL", "--images", "images", "-r", "R"],
        ["export", "-e", "SPEC", "-m", "MODEL", "-o", "model.onnx"],
    ],
)
def test_a_sealed_model_without_a_key_names_the_flag_of_the_command(tmp_path, capsys, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    for name in ("FRCNN_KEY", "FRCNN_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "images").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "images" / "1.png")
    (tmp_path / "plain").write_bytes(b"model")
    seal(tmp_path / "plain", tmp_path / "model.tlt", "key", "keras")
    names = {"SPEC": str(write_spec(tmp_path / "spec.txt")), "MODEL": "model.tlt"}
    assert main([names.get(word, word) for word in words]) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert "model.tlt: is sealed and no key was given; " in message
    assert "set FRCNN_KEY or FRCNN_KEY_FILE, or give the key, such as -k @FILE." in message


@pytest.mark.parametrize("flag", ["--rois", "--batch_size"])
def test_numbers_below_one_are_refused(tmp_path, capsys, flag):
    assert main(["model", "summary", str(tmp_path / "spec.txt"), flag, "0"]) == 2
    assert f"{flag} 0: expected 1 or more" in capsys.readouterr().err
