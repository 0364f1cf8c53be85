"""The steps run from the command lines that a release of the backend gives them, one after the other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.backend import RELEASES
from tests.conformance.record import MEAN_AP, walked
from tests.pipeline.tiny import SPEC, write_data

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
# What the launcher's artifacts and output parameters lie under, and where they are put here.
PLACES = ("minio://mlpipeline", "/minio/mlpipeline", "/tmp/kfp/outputs")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Every step as a process, with what the backend would have given it; the folder of its artifacts."""
    folder = tmp_path_factory.mktemp("steps")
    data = write_data(folder / "data")
    # As 2.17.0 has them, whose driver and launcher share the work.
    backend = walked(
        RELEASES["2.17.0"],
        data=str(data),
        spec=SPEC,
        epochs=1,
        minimum_map=0.0,
        tolerance=1.0,
        prune_threshold=0.95,
        publish_to=str(folder / "published"),
        step_gpus="0",
        webhook="",
    )
    for step in backend.steps:
        words = [placed(word, folder, step) for word in step.words()]
        done = subprocess.run(
            [sys.executable, "-P", *words[1:]],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "shared" / "src"), str(ROOT)])},
        )
        assert done.returncode == 0, f"{step.name}: {done.stderr}"
    return folder, backend


def placed(word, folder, step):
    """A word with its places below `folder`; the walk's mAP becomes the one that was measured."""
    if word == str(MEAN_AP):
        task = "evaluate" if step.name == "evaluate retrained" else "evaluate-retrained"
        return (folder / task / "mean_ap").read_text()
    for place in PLACES[:2]:
        word = word.replace(place, str(folder / "artifacts"))
    return word.replace(PLACES[2], str(folder / step.task))


def test_the_artifacts_are_those_of_a_run_on_one_machine(ran):
    folder, _ = ran
    place = folder / "artifacts" / "v2" / "artifacts" / "faster-rcnn" / "run-id"
    for step, *names in (
        ("train", "model/model.keras", "model/status.json"),
        ("evaluate", "report/metrics.json", "report/report.html", "page"),
        ("prune", "pruned/model.keras", "pruned/pruning.json"),
        ("retrain", "model/model.keras"),
        ("evaluate-retrained", "report/metrics.json"),
        ("export", "exported/model.onnx", "exported/labels.txt"),
    ):
        for name in names:
            assert (place / step / "salt" / name).is_file(), (step, name)
    assert len(list((place / "convert" / "salt" / "records").glob("set-fold-*"))) == 8
    assert (folder / "published" / "model.onnx").is_file()


def test_the_retrained_model_is_the_pruned_one(ran):
    folder, _ = ran
    place = folder / "artifacts" / "v2" / "artifacts" / "faster-rcnn" / "run-id"
    parameters = json.loads((place / "prune/salt/pruned/pruning.json").read_text())["params"]
    size = (place / "export/salt/exported/model.onnx").stat().st_size
    assert parameters["after"] < 0.97 * parameters["before"]
    assert size == pytest.approx(4 * parameters["after"], rel=0.01)


def test_output_parameters_are_what_the_next_drivers_read(ran):
    folder, _ = ran
    assert (folder / "evaluate" / "passed").read_text() == "true"
    assert float((folder / "evaluate" / "mean_ap").read_text()) >= 0
    uri = (folder / "convert" / "records_uri").read_text()
    assert uri.endswith("/faster-rcnn/run-id/convert/salt/records")


def test_every_step_answers_the_launcher(ran):
    folder, backend = ran
    for step in backend.steps:
        if step.name != "notify":
            answer = Path(placed(step.executor_input["outputs"]["outputFile"], folder, step))
            assert set(json.loads(answer.read_text())["artifacts"]) == set(
                step.executor_input["outputs"].get("artifacts", {})
            )
