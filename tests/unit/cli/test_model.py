"""`frcnn model summary`."""

import pytest

from frcnn.cli.main import main
from frcnn.model.build import build
from frcnn.model.files.checkpoint import save_model
from frcnn.model.files.training_record import TrainingRecord
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


@pytest.mark.parametrize("flag", ["--rois", "--batch_size"])
def test_numbers_below_one_are_refused(tmp_path, capsys, flag):
    assert main(["model", "summary", str(tmp_path / "spec.txt"), flag, "0"]) == 2
    assert f"{flag} 0: expected 1 or more" in capsys.readouterr().err
