"""Several real processes train together, joined by Horovod, on a data set of a few squares."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import frcnn.distributed.launcher
from frcnn.data.input.dataset import validation_dataset
from frcnn.distributed.launcher import RankFailedError, launch
from frcnn.evaluation.evaluator import evaluate
from frcnn.model.files.checkpoint import load_model
from frcnn.model.files.trained_detector import load_detector
from frcnn.settings.data import data_settings
from frcnn.settings.evaluation import evaluation_settings
from frcnn.settings.model import expected_model
from tests.support.toy_training import toy_spec

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        importlib.util.find_spec("horovod") is None, reason="Horovod is not installed: make horovod"
    ),
]

ROOT = Path(__file__).resolve().parents[3]
FROZEN = "} model_config { freeze_bn: true"


def rate(base: float) -> str:
    return f"learning_rate {{ step {{ base_lr: {base} gamma: 1.0 step_size: 30 }} }}"


def train_in(folder: Path, processes: int, *options: str):
    """Trains by `folder/spec.txt` in so many processes; returns rank 0's outcome."""
    program = [sys.executable, "-m", "tests.support.rank_program", folder / "spec.txt", folder, *options]
    path = os.pathsep.join([str(ROOT), str(ROOT / "shared/src")])
    return launch(program, processes, {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"})


def weights_of(folder: Path, rank: int) -> list[np.ndarray]:
    with np.load(folder / f"rank_{rank}.npz") as arrays:
        return [arrays[name] for name in arrays.files]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One process, batch 4, three steps, every random draw alike: folder and outcome."""
    folder = tmp_path_factory.mktemp("alone")
    toy_spec(
        folder,
        images=12,
        validation=5,
        training=f"num_epochs: 1 batch_size_per_gpu: 4 {rate(0.004)} {FROZEN}",
    )
    return folder, train_in(folder, 1, "draw-alike")


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The weights that all of them start from."""
    folder = tmp_path_factory.mktemp("before")
    toy_spec(folder, images=12, training=f"num_epochs: 1 batch_size_per_gpu: 4 {rate(0.0)} {FROZEN}")
    train_in(folder, 1, "draw-alike")
    return weights_of(folder, 0)


@pytest.fixture(scope="module", params=[2, 4])
def group(tmp_path_factory, request):
    """So many processes that share the same batches: their number, folder and outcome of rank 0."""
    folder, processes = tmp_path_factory.mktemp("group"), request.param
    # Rates are multiplied by the number of processes.
    text = f"num_epochs: 1 batch_size_per_gpu: {4 // processes} {rate(0.004 / processes)} {FROZEN}"
    toy_spec(folder, images=12, validation=5, training=text)
    return processes, folder, train_in(folder, processes, "draw-alike")


def test_all_ranks_end_with_the_same_bits(group):
    processes, folder, _ = group
    for rank in range(1, processes):
        for one, other in zip(weights_of(folder, 0), weights_of(folder, rank), strict=True):
            np.testing.assert_array_equal(one, other)


def test_several_processes_equal_one_with_their_batches_together(group, alone, before):
    _, folder, outcome = group
    assert outcome.result["loss"] == pytest.approx(alone[1].result["loss"], rel=1e-5)
    moved, apart = 0.0, 0.0
    for many, one, start in zip(weights_of(folder, 0), weights_of(alone[0], 0), before, strict=True):
        np.testing.assert_allclose(many, one, rtol=1e-4, atol=1e-6)
        moved, apart = moved + np.square(one - start).sum(), apart + np.square(many - one).sum()
    assert apart < 1e-8 * moved


def test_validation_shared_by_two_ranks_equals_that_of_one(tmp_path):
    # An untrained model, and so little asked that it gets some objects right.
    lenient = "object_confidence_thres: 0.0001 gt_matching_iou_threshold: 0.1"
    spec = toy_spec(
        tmp_path, images=2, validation=5, training=f"num_epochs: 1 {rate(0.0)}", evaluation=lenient
    )
    outcome = train_in(tmp_path, 2)
    path = next((tmp_path / "results").glob("*.epoch_1.keras"))
    dataset = validation_dataset(data_settings(spec), batch_size=spec.evaluation_config.batch_size)
    whole = evaluate(load_detector(path, expected_model(spec)), dataset, evaluation_settings(spec))
    assert whole.images == 5
    assert 0.0 < whole.mean_ap < 1.0
    assert outcome.result["mAP"] == pytest.approx(whole.mean_ap, abs=1e-6)
    assert load_model(path)[1].metrics["mAP"] == pytest.approx(whole.mean_ap, abs=1e-6)


def test_moving_statistics_are_common_after_an_epoch(tmp_path):
    toy_spec(tmp_path, images=4, training="num_epochs: 1")
    train_in(tmp_path, 2)
    one, other = weights_of(tmp_path, 0), weights_of(tmp_path, 1)
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    checkpoint = load_model(next((tmp_path / "results").glob("*.epoch_1.keras")))[0].get_weights()
    for saved, last in zip(checkpoint, one, strict=False):
        np.testing.assert_array_equal(saved, last)


@pytest.mark.parametrize(
    ("end", "reason"),
    [("die-on-1", r"rank 1 of 2 was killed \(SIGKILL\)"), ("fail-on-1", "rank 1 of 2: record 7 is broken")],
)
def test_one_rank_that_ends_badly_ends_all_with_its_reason(tmp_path, end, reason):
    toy_spec(tmp_path, images=8, training="num_epochs: 50")
    began = time.monotonic()
    with pytest.raises(RankFailedError, match=reason):
        train_in(tmp_path, 2, end)
    assert not list(tmp_path.glob("rank_*.npz"))
    assert time.monotonic() - began < 600


def test_the_command_starts_its_processes_and_keeps_the_key_out_of_command_lines(tmp_path):
    toy_spec(tmp_path, images=4, training="num_epochs: 1")
    command = [sys.executable, "-m", "frcnn", "train", "-e", tmp_path / "spec.txt", "-r", tmp_path / "out"]
    environment = {**os.environ, "FRCNN_KEY": "a-secret-key", "PYTHONPATH": str(ROOT / "shared/src")}
    seen: set[str] = set()
    done = threading.Event()
    watcher = threading.Thread(target=watch_command_lines, args=(seen, done))
    watcher.start()
    try:
        run = subprocess.run(
            [*command, "--gpus", "2"], env=environment, capture_output=True, text=True, check=False
        )
    finally:
        done.set()
        watcher.join()
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "Execution status: PASS"
    assert run.stdout.count("Execution status") == 1
    assert "No GPU found: 2 processes" in run.stderr
    assert sum("frcnn.cli.train_rank" in line for line in seen) >= 1
    assert not [line for line in seen if "a-secret-key" in line]
    records = [json.loads(line) for line in (tmp_path / "out/status.json").read_text().splitlines()]
    assert [record["status"] for record in records] == ["STARTED", "RUNNING", "SUCCESS"]
    assert records[-1]["kpi"]["epochs"] == 1.0
    assert load_model(tmp_path / "out/frcnn_resnet_10.epoch_1.tlt", "a-secret-key")[1].epoch == 1


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_ranks_end_with_the_process_that_started_them(tmp_path, by):
    toy_spec(tmp_path, images=8, training="num_epochs: 500")
    command = [sys.executable, "-m", "frcnn", "train", "-e", tmp_path / "spec.txt", "-r", tmp_path / "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "shared/src")}
    checkpoint = tmp_path / "out/frcnn_resnet_10.epoch_1.keras"
    with subprocess.Popen([*command, "--gpus", "2"], env=environment, stderr=subprocess.PIPE) as process:
        threading.Thread(target=process.stderr.read, daemon=True).start()
        assert until(checkpoint.is_file)
        assert len(ranks_of(tmp_path)) == 2
        process.send_signal(by)
    assert process.returncode == (143 if by == signal.SIGTERM else -9)
    assert until(lambda: not ranks_of(tmp_path))
    if by == signal.SIGTERM:
        assert '"FAILURE"' in (tmp_path / "out/status.json").read_text().splitlines()[-1]
    assert load_model(checkpoint)[1].epoch == 1


def until(condition, seconds: float = 300.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def ranks_of(folder: Path) -> list[str]:
    """Command lines of the ranks that train by the spec in `folder`."""
    seen: set[str] = set()
    read_command_lines(seen)
    return [line for line in seen if "frcnn.cli.train_rank" in line and str(folder) in line]


def watch_command_lines(seen: set[str], done: threading.Event) -> None:
    while not done.is_set():
        read_command_lines(seen)
        time.sleep(0.02)


def read_command_lines(seen: set[str]) -> None:
    """Adds the command lines of all processes, with their numbers, as any user of the machine can."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has just ended
        if line:
            seen.add(f"{path.parent.name} {line}")


def test_a_resumed_pair_ends_with_the_bits_of_an_uninterrupted_one(tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    for folder in (whole, resumed):
        folder.mkdir()
    toy_spec(whole, images=4, training="num_epochs: 2")
    train_in(whole, 2)
    first = next((whole / "results").glob("*.epoch_1.keras"))
    toy_spec(resumed, images=4, training=f'num_epochs: 2 resume_from_model: "{first}"')
    train_in(resumed, 2)
    for rank in (0, 1):
        for one, other in zip(weights_of(whole, rank), weights_of(resumed, rank), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun")
def test_over_mpi_too_processes_equal_one(alone, tmp_path, monkeypatch):
    monkeypatch.setattr(frcnn.distributed.launcher, "_controller", lambda environment: "mpi")
    text = f"num_epochs: 1 batch_size_per_gpu: 2 {rate(0.002)} {FROZEN}"
    toy_spec(tmp_path, images=12, validation=5, training=text)
    by_mpi = train_in(tmp_path, 2, "draw-alike")
    assert by_mpi.result["loss"] == pytest.approx(alone[1].result["loss"], rel=1e-5)
    with pytest.raises(RankFailedError, match="rank 1 of 2: record 7 is broken"):
        train_in(tmp_path, 2, "fail-on-1")


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun")
def test_mpirun_starts_the_ranks_of_one_training(tmp_path):
    toy_spec(tmp_path, images=4, training="num_epochs: 1")
    mpirun = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-bind-to", "none", "-np", "2"]
    command = [sys.executable, "-m", "frcnn", "train", "-e", tmp_path / "spec.txt", "-r", tmp_path / "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "shared/src")}
    run = subprocess.run([*mpirun, *command], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("Execution status: PASS") == 1
    assert run.stderr.count("4 training images, 2 steps per epoch") == 1
    records = [json.loads(line) for line in (tmp_path / "out/status.json").read_text().splitlines()]
    assert [record["status"] for record in records] == ["STARTED", "RUNNING", "SUCCESS"]
