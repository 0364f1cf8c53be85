"""Real steps whose data and checkpoints lie on S3."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from frcnn.data.records.offsets import write_list
from frcnn.settings.training import training_run
from tests.pipeline.tiny import SPEC, write_data
from tests.support.toy_training import toy_spec

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def environment(server, monkeypatch, tmp_path):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))


def convert(*words):
    return run_step("convert", *words)


def run_step(step, *words):
    path = os.pathsep.join([str(ROOT / "shared" / "src"), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-P", "-m", f"components.{step}.main", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_the_convert_step_takes_a_prefix(store, uri, tmp_path):
    data = write_data(tmp_path / "data", images=6)
    for path in data.rglob("*.*"):
        store.upload_file(path, f"{uri}/{path.relative_to(data).as_posix()}")
    done = convert("--data", uri, "--records", tmp_path / "remote")
    assert done.returncode == 0, done.stderr
    assert convert("--data", data, "--records", tmp_path / "local").returncode == 0
    names = sorted(path.name for path in (tmp_path / "local").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "remote").iterdir())
    for name in names:
        local = (tmp_path / "local" / name).read_bytes()
        if name == "suggested_spec.txt":  # names the data and the records
            local = local.replace(bytes(data), uri.encode())
            local = local.replace(bytes(tmp_path / "local"), bytes(tmp_path / "remote"))
        assert (tmp_path / "remote" / name).read_bytes() == local


def test_the_convert_step_says_that_nothing_is_there(uri, tmp_path):
    done = convert("--data", uri, "--records", tmp_path / "records")
    assert done.returncode == 1
    assert f"convert --data {uri}: nothing is there; check the URI" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "records").exists()


def test_the_inference_step_takes_images_from_a_prefix(store, uri, tmp_path):
    words = ("--spec", SPEC, "--model", tmp_path / "model", "--detections", tmp_path / "found")
    done = run_step("inference", *words, "--images", uri)
    assert (done.returncode, f"inference --images {uri}: nothing is there" in done.stderr) == (1, True)
    store.upload_file(write_data(tmp_path / "data", images=1) / "images/000000.jpg", f"{uri}/a.jpg")
    done = run_step("inference", *words, "--images", uri)
    assert done.returncode == 1
    assert "model" in done.stderr  # the images are there, and the model is asked for next
    assert "nothing is there" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_training_from_s3_is_training_from_files_and_goes_on_from_its_checkpoints_there(store, uri, tmp_path):
    from frcnn.training.s3_backup import train_with_s3_backup
    from frcnn.training.trainer import train

    spec = toy_spec(tmp_path / "toy", images=4, training="num_epochs: 1 enable_augmentation: true")
    data = dataclasses.replace(spec.dataset_config, validation_fold=0)
    spec = dataclasses.replace(spec, dataset_config=data)
    for path in sorted((tmp_path / "toy").glob("toy-fold-*")):
        write_list(path)
    for path in (tmp_path / "toy").iterdir():
        store.upload_file(path, f"{uri}/{path.name}")
    source = dataclasses.replace(data.data_sources[0], tfrecords_path=f"{uri}/toy-fold-*")
    there = dataclasses.replace(spec, dataset_config=dataclasses.replace(data, data_sources=(source,)))
    expected = train(training_run(spec), tmp_path / "local")
    found = train_with_s3_backup(training_run(there), tmp_path / "one", f"{uri}/kept", store=store)
    assert found.loss == expected.loss
    kept = {entry.name for entry in store.list(f"{uri}/kept")}
    assert "status.json" in kept and any("epoch_1" in name for name in kept)
    longer = dataclasses.replace(there.training_config, num_epochs=2)
    resumed = train_with_s3_backup(
        training_run(dataclasses.replace(there, training_config=longer)),
        tmp_path / "two",
        f"{uri}/kept",
        store=store,
    )
    assert resumed.epochs == 2
    assert any("epoch_2" in entry.name for entry in store.list(f"{uri}/kept"))


def test_a_pushed_spec_is_what_steps_read(uri, tmp_path, capsys):
    from frcnn.cli import task_runner
    from frcnn.cli.tasks import Task
    from frcnn.steps.specs import experiment_given
    from pipelines import command
    from tests.pipeline.tiny import SPEC

    (tmp_path / "spec.txt").write_text(SPEC)
    place = f"{uri}/kitti.txt"
    task = Task("pipeline", "pipelines.command", "", prints_status=False)
    assert task_runner.run(task, command, ["push-spec", str(tmp_path / "spec.txt"), place]) == 0
    assert capsys.readouterr().out == f"{place}\n"
    assert experiment_given(place).text == SPEC


def converted(store, uri, tmp_path, images=6):
    """Records in a folder, and the same on S3; returns the folder and the URI as Kubeflow writes it."""
    from components.convert import main as convert_main

    data = write_data(tmp_path / "data", images=images)
    words = ["--data", str(data), "--records", str(tmp_path / "records")]
    assert convert_main.main([*words, "--records-kept-at", uri, "--records-uri", str(tmp_path / "uri")]) == 0
    assert (tmp_path / "uri").read_text() == uri
    for path in (tmp_path / "records").iterdir():
        store.upload_file(path, f"{uri}/{path.name}")
    return tmp_path / "records", uri.replace("s3://", "minio://")


def test_a_step_without_a_spec_reads_the_suggested_one_beside_the_records(store, uri, tmp_path):
    from frcnn.errors import UsageError
    from frcnn.steps.suggested_spec import NAME, experiment_or_suggested

    folder, place = converted(store, uri, tmp_path, images=10)
    assert experiment_or_suggested("", None, place).text == (folder / NAME).read_text()
    store.remove(f"{uri}/{NAME}")
    with pytest.raises(UsageError, match="there is no suggested spec"):
        experiment_or_suggested("", None, place)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_train_and_evaluate_read_records_where_they_are_kept_and_copy_none(store, uri, tmp_path):
    from components.evaluate import main as evaluate_main
    from components.train import main as train_main

    folder, place = converted(store, uri, tmp_path)
    model = tmp_path / "model"
    words = ["--spec", SPEC, "--records-uri", place, "--model", str(model), "--metrics", str(tmp_path / "m")]
    assert train_main.main(words) == 0
    assert (model / "model.keras").is_file()
    found = []
    for number, records in enumerate((["--records-uri", place], ["--records", str(folder)])):
        report = tmp_path / f"report-{number}"
        words = ["--spec", SPEC, *records, "--model", str(model), "--report", str(report)]
        assert evaluate_main.main(words) == 0
        found.append((report / "metrics.json").read_text())
    assert found[0] == found[1]


def test_int8_is_calibrated_on_the_same_images_from_s3_without_reading_more(
    store, uri, tmp_path, monkeypatch
):
    from components.export import main as export_main
    from frcnn.data.records.files import RemoteFile
    from frcnn.settings.data import data_settings
    from frcnn.spec.load import parse_experiment
    from frcnn.steps.places import records_place
    from frcnn.steps.specs import with_records

    monkeypatch.setattr(export_main, "BATCHES", 1)
    monkeypatch.setattr(export_main, "BATCH_SIZE", 2)
    folder, place = converted(store, uri, tmp_path)
    requested, read = [], RemoteFile.read
    monkeypatch.setattr(
        RemoteFile,
        "read",
        lambda self, offset, length: requested.append((self.name, length)) or read(self, offset, length),
    )
    found = []
    for number, given in enumerate(((None, place), (folder, ""))):
        images = tmp_path / f"images-{number}"
        spec = with_records(parse_experiment(SPEC).spec, records_place(*given))
        int8 = export_main._calibration(data_settings(spec), images)
        assert (int8.batch_size, int8.batches) == (2, 1)
        found.append({path.name: path.read_bytes() for path in images.iterdir()})
    assert found[0] == found[1]
    records = [length for name, length in requested if not name.endswith(".index")]
    assert len(records) == 2
    assert sum(records) < 2 * max(path.stat().st_size for path in folder.iterdir())
    assert not any("fold-000" in name for name, _ in requested)
