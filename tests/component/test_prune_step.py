"""The prune step as a container runs it."""

import json
import logging

import pytest

from components.prune.main import main
from frcnn.model.files.checkpoint import save_model
from frcnn.model.files.training_record import TrainingRecord
from tests.support.export_models import calibrated_model, export_spec


@pytest.mark.parametrize(("threshold", "pruned"), [("0", False), ("0.9", True)])
def test_a_threshold_that_removes_nothing_is_reported_with_what_to_do(tmp_path, caplog, threshold, pruned):
    spec = export_spec(tmp_path)
    record = TrainingRecord("resnet:10", spec.class_names)
    save_model(calibrated_model(spec), tmp_path / "model.keras", record)
    flags = ("--threshold", threshold, "--granularity", "8", "--minimum-filters", "16")
    with caplog.at_level(logging.WARNING):
        assert main(["--model", str(tmp_path), "--pruned", str(tmp_path / "pruned"), *flags]) == 0
    report = json.loads((tmp_path / "pruned/pruning.json").read_text())
    assert (report["params"]["after"] < report["params"]["before"]) == pruned
    said = "No filters were pruned: their norms are above the threshold of 0. Raise it, or set target_params"
    assert (said in caplog.text) != pruned
