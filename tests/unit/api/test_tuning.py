"""`frcnn.tune`: what it refuses before anything runs, and a whole search with real trainings."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import frcnn
from frcnn.api.trial_training import share_of, wait_for_earlier
from frcnn.errors import DataError, SpecError, UsageError
from frcnn.model.files.checkpoint import load_model
from frcnn.model.summary import summarize
from frcnn.single_writer import PlaceBusyError
from frcnn.spec.load import parse_experiment
from frcnn.tuning.results import trials_of
from frcnn.tuning.settings import TuneSettings
from frcnn.tuning.space_file import load_space
from frcnn.tuning.study import open_study
from frcnn.tuning.tuned_spec import TunedSpec
from tests.support.toy_training import toy_spec

ROOT = Path(__file__).parents[3]
RATE = "training_config.learning_rate.step.base_lr"
SPACE = f'search {{ field: "{RATE}" value: "0.01" value: "0.001" }}\n'


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A spec whose trainings take seconds, and a space of two learning rates."""
    folder = tmp_path_factory.mktemp("toy")
    spec = toy_spec(folder, images=2, validation=1)
    (folder / "space.txt").write_text(SPACE)
    return spec, folder / "space.txt"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 0}, "trials 0: expected a whole number of 1 or more"),
        ({"trials": 1.5}, r"trials 1\.5: expected a whole number"),
        ({"jobs": 0}, "jobs 0"),
        ({"hours": 0}, "hours 0: expected a number above 0"),
        ({"num_epochs": 0}, "num_epochs 0: expected 1 or more"),
        ({"pruner": "median"}, "pruner 'median': expected one of asha, hyperband, none"),
        ({"objectives": ("flops",)}, "objectives flops: expected mAP, or mAP and one of flops, latency"),
        ({"objectives": ()}, "objectives none"),
        ({"objectives": ("mAP", "size")}, "objectives mAP, size"),
        ({"objectives": ("mAP", "mAP")}, "objectives mAP, mAP"),
        ({"objectives": ("mAP", "latency"), "jobs": 2}, "jobs 2 with objective latency: expected 1"),
        ({"archs": ("resnet:19",)}, "arch 'resnet:19': unknown; did you mean"),
        ({"archs": ("resnet:18",), "space": "space.txt"}, "archs: found together with space"),
    ],
)
def test_wrong_arguments_are_named_and_nothing_is_written(toy, tmp_path, arguments, message):
    with pytest.raises(UsageError, match=message):
        frcnn.tune(toy[0], tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_spec_without_validation_is_named_and_nothing_is_written(toy, tmp_path):
    text = toy[0].to_text().replace("validation_fold: 0", "")
    (tmp_path / "blind.txt").write_text(text)
    with pytest.raises(
        DataError, match=r"blind\.txt names no validation set.*dataset_config.validation_fold"
    ):
        frcnn.tune(tmp_path / "blind.txt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_records_and_a_wrong_space_are_named_and_nothing_is_written(toy, tmp_path):
    spec = toy[0].updated({"dataset_config.data_sources[0].tfrecords_path": "/no-such/*"})
    with pytest.raises(DataError, match="no-such"):
        frcnn.tune(spec, tmp_path / "out")
    (tmp_path / "space.txt").write_text('\nsearch { field: "model_config.rois" low: 1 high: 2 }')
    with pytest.raises(
        SpecError, match=r"space\.txt: 1 problem\n  2:10  search\[0\]\.field: model_config\.rois: unknown"
    ):
        frcnn.tune(toy[0], tmp_path / "out", space=tmp_path / "space.txt")
    assert not (tmp_path / "out").exists()


def test_the_cost_of_a_model_of_dynamic_size_is_refused(tmp_path):
    spec = toy_spec(tmp_path, images=1, validation=1, sizes=((128, 160),))
    with pytest.raises(UsageError, match=r"dynamic input size \(size_min\)"):
        frcnn.tune(spec, tmp_path / "out", objectives=("mAP", "flops"))


@pytest.mark.parametrize(
    ("slot", "jobs", "environment", "expected"),
    [
        (1, 1, {"CUDA_VISIBLE_DEVICES": "0,1"}, {}),
        (0, 2, {"CUDA_VISIBLE_DEVICES": "4,6", "OMP_NUM_THREADS": "1"}, {"CUDA_VISIBLE_DEVICES": "4"}),
        (1, 2, {"CUDA_VISIBLE_DEVICES": "4,6", "OMP_NUM_THREADS": "1"}, {"CUDA_VISIBLE_DEVICES": "6"}),
        (2, 4, {"CUDA_VISIBLE_DEVICES": "4,6", "OMP_NUM_THREADS": "1"}, {"CUDA_VISIBLE_DEVICES": "4"}),
        (1, 2, {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}, {}),
    ],
)
def test_jobs_share_the_gpus_that_are_named(slot, jobs, environment, expected):
    found = share_of(slot, jobs, environment)
    assert {name: value for name, value in found.items() if name != "TF_NUM_INTRAOP_THREADS"} == expected


def test_a_training_of_a_killed_search_is_waited_for_and_one_that_stays_is_an_error(tmp_path):
    hold = "import sys, time; from pathlib import Path; from frcnn.single_writer import only_writer_in\n"
    hold += "with only_writer_in(Path(sys.argv[1]), 'train'): print('held', flush=True); sys.stdin.read()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    earlier = subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert earlier.stdout.readline() == "held\n"
    with pytest.raises(PlaceBusyError):
        wait_for_earlier(tmp_path, lambda: None, patience=0.0)
    waited = []

    def let_go():
        waited.append(True)
        if len(waited) == 2:
            earlier.kill()

    wait_for_earlier(tmp_path, let_go)
    assert len(waited) >= 2
    earlier.communicate()


def test_jobs_share_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert share_of(0, 3, {}) == {"OMP_NUM_THREADS": "2", "TF_NUM_INTRAOP_THREADS": "2"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_search_trains_its_trials_and_leaves_the_best(toy, tmp_path):
    spec, space = toy
    ended, progress = [], []
    result = frcnn.tune(
        spec,
        tmp_path / "out",
        space=space,
        trials=2,
        num_epochs=1,
        objectives=("mAP", "flops"),
        on_trial=ended.append,
        on_progress=progress.append,
    )
    assert [each.number for each in ended] == [0, 1] == [each.number for each in result.trials]
    assert progress[-1].task == "tuning" and progress[-1].done == 2
    assert result.trials[0].chosen == {RATE: "0.01"}
    found = parse_experiment(result.spec.read_text(), remarks=False).spec
    assert found.training_config.learning_rate.step.base_lr == float(result.best.chosen[RATE])
    assert found.training_config.num_epochs == 1
    assert result.model.read_bytes() == result.best.model.read_bytes()
    with frcnn.load(result.model) as detector:
        assert detector.class_names == ("car", "person")
    # The same layers, whatever the rate: the operations that `frcnn model summary` counts.
    counted = summarize(load_model(result.model)[0], TunedSpec(spec).rois).total("flops") / 1e9
    assert [each.values["flops"] for each in result.trials] == [pytest.approx(counted)] * 2
    assert result.report.is_file() and result.table.is_file()
    log = (result.trials[1].folder / "log.txt").read_text()
    assert "Starting from random weights" in log


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_killed_search_goes_on_with_its_checkpoints(toy, tmp_path):
    spec, space = toy
    (tmp_path / "spec.txt").write_text(spec.to_text())
    code = (
        "import frcnn, sys; frcnn.tune(sys.argv[1], sys.argv[2], space=sys.argv[3], trials=1, num_epochs=3)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "spec.txt"), str(tmp_path / "out"), str(space)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = subprocess.Popen(words, env=environment, cwd=ROOT)
    folder = tmp_path / "out/trials/0000"
    until = time.monotonic() + 900
    while not list(folder.glob("*.epoch_[12].keras")):
        assert program.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    program.kill()
    assert program.wait() == -signal.SIGKILL
    subprocess.run(words, env=environment, cwd=ROOT, check=True)
    log = (folder / "log.txt").read_text()
    assert "Resuming" in log
    settings = TuneSettings(
        spec=TunedSpec(
            frcnn.Spec.load(tmp_path / "spec.txt").updated(
                {"training_config.num_epochs": 3, "training_config.checkpoint_interval": 1}
            )
        ),
        space=load_space(space, TunedSpec(spec)),
        folder=tmp_path / "out",
        trials=1,
        hours=None,
        jobs=1,
        objectives=("mAP",),
        pruner="asha",
        seed=spec.random_seed,
    )
    (trial,) = trials_of(open_study(settings), settings)
    assert trial.state == "complete" and [epoch for epoch, _ in trial.curve] == [1, 2, 3]
