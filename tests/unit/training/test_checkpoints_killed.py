"""Checkpoints, best copy and index, killed before every call that changes a file: nothing is lost.

The training is a table of mAPs; what is written and resumed is what a real training writes and resumes.
"""

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from frcnn.model.files.archive import Group
from frcnn.model.files.checkpoint import Snapshot
from frcnn.model.files.training_record import TrainingRecord, read_record
from frcnn.settings.training import training_run
from frcnn.training.callbacks.checkpoints import Checkpoints
from frcnn.training.run_folder import INDEX, checkpoint_in
from tests.support.kill_points import each_kill, kill_server
from tests.support.toy_training import toy_spec

MEAN_APS = (0.3, 0.5, 0.4, 0.6)
EARLIER = "of the earlier run"


def train_by_table(folder: Path) -> None:
    """The job: trains from the start or, where a file `resume` says so, from the latest checkpoint."""
    train(folder, MEAN_APS, resume=(folder / "resume").exists())


def train(folder: Path, mean_aps: tuple[float, ...], *, resume: bool = False, **metrics: float) -> None:
    run, results = pickle.loads((folder / "run.pickle").read_bytes()), folder / "results"
    resumed = checkpoint_in(results, "latest") if resume else None
    start = read_record(resumed) if resumed else None
    history = list(start.history) if start else []
    report = SimpleNamespace(mean_ap=0.0)
    rows = SimpleNamespace(rows=lambda: tuple(history))
    with Checkpoints(run, results, "", rows, lambda: report, start, resumed) as checkpoints:
        checkpoints.set_model(SimpleNamespace(stop_training=False))
        checkpoints._snapshots = SimpleNamespace(take=snapshot)
        if start and start.epoch == len(mean_aps):
            checkpoints.complete()
        for epoch in range(start.epoch if start else 0, len(mean_aps)):
            report.mean_ap = mean_aps[epoch]
            history.append({"epoch": epoch + 1.0, "mAP": report.mean_ap})
            checkpoints.on_epoch_end(epoch, {"mAP": report.mean_ap, **metrics})


def snapshot() -> Snapshot:
    return Snapshot("{}", [Group("layers/conv/vars", "conv", [np.arange(4, dtype=np.float32)])])


@pytest.fixture(params=["interval 1", "interval 2", "a folder of an earlier run"])
def prepared(request, tmp_path):
    interval = 2 if request.param == "interval 2" else 1
    folder = tmp_path / "prepared"
    folder.mkdir()
    spec = toy_spec(
        folder,
        images=1,
        validation=1,
        training=f"num_epochs: {len(MEAN_APS)} checkpoint_interval: {interval} keep_checkpoints: 2",
    )
    # Read hundreds of times, and faster than the spec.
    (folder / "run.pickle").write_bytes(pickle.dumps(training_run(spec)))
    if request.param.startswith("a folder"):
        train(folder, (0.9, 0.8), **{EARLIER: 1.0})
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with kill_server(train_by_table, tmp_path_factory.mktemp("server")) as server:
        yield server


def test_at_every_kill_the_best_model_is_there_and_the_resumed_run_ends_equal(
    tmp_path, server, prepared, record_property
):
    def check(folder: Path) -> None:
        latest = checkpoint_in(folder / "results", "latest")
        record = read_record(latest) if latest else TrainingRecord("", ())
        if not latest or EARLIER in record.metrics:
            return  # this run has no checkpoint yet: it starts again
        best = read_record(checkpoint_in(folder / "results", "best"))
        assert EARLIER not in best.metrics
        assert best.metrics["mAP"] >= max(MEAN_APS[: record.epoch]), f"the best is of epoch {best.epoch}"
        (folder / "resume").touch()

    tried = each_kill(server, prepared, tmp_path / "work", check, equal=outcome)
    record_property("kill points", tried)
    assert tried > 100


def outcome(folder: Path) -> dict[str, object]:
    """Describes every file in the results folder; a time in an archive is no part of it."""
    return {path.name: described(path) for path in sorted((folder / "results").iterdir())}


def described(path: Path) -> object:
    if path.name == INDEX:
        return json.loads(path.read_text())
    return read_record(path) if path.suffix == ".keras" else path.read_bytes()
