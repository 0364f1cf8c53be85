"""The whole pipeline for real, each step a process, on the smallest data set there is."""

import json
import re

import pytest

from frcnn.data.records.tfrecord import read_records
from tests.pipeline.tiny import write_data, write_spec
from tests.pipeline.whole_run import ARTIFACTS, files, pipeline_run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with gates that let any model through."""
    folder = tmp_path_factory.mktemp("whole")
    write_data(folder / "data")
    write_spec(folder / "spec.txt")
    done = pipeline_run(folder, "--minimum_map", "0", "--tolerance", "1", "--prune_threshold", "0.95")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout, files(folder / "out" / "latest"), done.stderr


def test_every_artifact_of_every_step_is_there(finished):
    _, _, found, _ = finished
    records = {name for name in found if name.startswith("convert/records/set-fold-")}
    assert len(records) == 8
    # Where each record begins, so that training can read ranges of a shard from a store.
    lists = {name.replace("records/", "records/.") + ".index" for name in records}
    assert found - records == ARTIFACTS | lists


def test_the_summary_names_every_artifact_where_it_lies(finished):
    folder, out, _, _ = finished
    latest = folder / "out" / "latest"
    for name in ("convert/records", "train/model", "prune/pruned", "retrain/model", "export/exported"):
        assert f": {latest / name}\n" in out


def test_the_pipeline_itself_computes_for_less_than_five_seconds(finished):
    """By the CPU's clock: by the wall's, it waits for whatever else the machine does."""
    _, out, _, said = finished
    (seconds,) = re.findall(r"CPU seconds of the pipeline itself: ([\d.]+)", said)
    assert float(seconds) < 5.0
    assert re.search(r"\([\d.]+ s outside the steps\)", out)


def test_records_hold_their_images(finished):
    folder, _, _, _ = finished
    shards = sorted((folder / "out" / "latest" / "convert" / "records").glob("set-fold-*"))
    assert sum(len(list(read_records(shard))) for shard in shards) == 10
    assert sum(shard.stat().st_size for shard in shards) > sum(
        image.stat().st_size for image in (folder / "data" / "images").iterdir()
    )


def test_the_exported_model_is_the_pruned_one(finished):
    folder, _, _, _ = finished
    latest = folder / "out" / "latest"
    parameters = json.loads((latest / "prune" / "pruned" / "pruning.json").read_text())["params"]
    assert parameters["after"] < 0.97 * parameters["before"]
    onnx = (latest / "export" / "exported" / "model.onnx").stat().st_size
    assert onnx == pytest.approx(4 * parameters["after"], rel=0.01)


def test_a_folder_with_images_and_labels_is_enough(tmp_path):
    """Without a spec; the epochs only keep the test short."""
    write_data(tmp_path / "data")
    words = ("--epochs", "1", "--retrain_epochs", "1", "--minimum_map", "0", "--tolerance", "1")
    done = pipeline_run(tmp_path, *words, "--prune_threshold", "0.95", spec=False)
    assert done.returncode == 0, done.stdout + done.stderr
    latest = tmp_path / "out" / "latest"
    assert (latest / "export/exported/model.onnx").is_file()
    exported = (latest / "export/exported/spec.txt").read_text()
    assert exported == (latest / "convert/records/suggested_spec.txt").read_text()
    assert "# 8 training images" in exported
    report = json.loads((latest / "evaluate/report/metrics.json").read_text())
    assert report["images"] == 2
    again = pipeline_run(tmp_path, *words, "--prune_threshold", "0.95", spec=False)
    reused = [line.split()[0] for line in again.stdout.splitlines() if " reused" in line]
    assert reused[:3] == ["convert", "train", "evaluate"]


def test_a_minimum_that_is_missed_stops_the_run_reusing_what_is_done(finished):
    folder, _, _, _ = finished
    done = pipeline_run(folder, "--minimum_map", "1", "--tolerance", "1", "--prune_threshold", "0.95")
    assert done.returncode == 1
    assert "nothing exported: mAP" in done.stderr
    assert "below the minimum 1.0000" in done.stderr
    report = folder / "out/latest/evaluate/report/report.html"
    assert report.is_file()
    assert f"See {report}. Train for longer (--epochs)" in done.stderr
    assert (
        "SUCCEEDED (no step failed; the run shows whether a model was exported)" in done.stdout + done.stderr
    )
    states = [line.split()[:2] for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert states[:-1] == [
        ["step", "state"],
        ["convert", "reused"],
        ["train", "reused"],
        ["evaluate", "done"],
        ["notify", "done"],
    ]
    assert states[-1][0] == "total"
    assert {name.split("/")[0] for name in files(folder / "out" / "latest")} == {
        "convert",
        "train",
        "evaluate",
    }
