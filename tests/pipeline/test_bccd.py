"""The whole pipeline on real photographs: blood cells, with the spec of the examples."""

import json
from pathlib import Path

import pytest

from tests.pipeline.whole_run import ARTIFACTS, files, pipeline_run

ROOT = Path(__file__).parents[2]
BCCD = ROOT.parent / "shared" / "data" / "bccd"
SHORT = ("--epochs", "2", "--retrain_epochs", "2", "--train_precision", "mixed", "--target_params", "0.3")
HELD_OUT = 87  # the images of its val.txt

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not BCCD.is_dir(), reason="the BCCD images are not part of this repository"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two epochs, gates that let any model through."""
    folder = tmp_path_factory.mktemp("bccd")
    text = (ROOT / "examples" / "specs" / "bccd_resnet18.txt").read_text()
    (folder / "spec.txt").write_text(text)
    done = pipeline_run(folder, *SHORT, "--minimum_map", "0", "--tolerance", "1", data=BCCD)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_branch_leaves_its_artifacts(finished):
    found = files(finished / "out" / "latest")
    assert {name for name in found if "set-fold-" not in name} == ARTIFACTS
    metrics = json.loads((finished / "out/latest/evaluate/report/metrics.json").read_text())
    assert metrics["images"] == HELD_OUT
    sizes = json.loads((finished / "out/latest/prune/pruned/pruning.json").read_text())["params"]
    assert sizes["after"] <= 0.3 * sizes["before"]


def test_a_model_that_pruning_has_cost_too_much_is_not_exported(finished):
    done = pipeline_run(finished, *SHORT, "--minimum_map", "0", "--tolerance", "0", data=BCCD)
    exported = {name for name in files(finished / "out" / "latest") if name.startswith("export/")}
    before, after = (
        json.loads((finished / f"out/latest/{step}/report/metrics.json").read_text())["mAP"]
        for step in ("evaluate", "evaluate-retrained")
    )
    assert bool(exported) == (after >= before)
    assert done.returncode == (0 if exported else 1)


def test_a_model_that_is_not_good_enough_is_not_pruned(finished):
    done = pipeline_run(finished, *SHORT, "--minimum_map", "0.99", "--tolerance", "1", data=BCCD)
    assert done.returncode == 1
    assert "below the minimum 0.9900" in done.stderr
    left = {name.split("/")[0] for name in files(finished / "out" / "latest")}
    assert left == {"convert", "train", "evaluate"}
