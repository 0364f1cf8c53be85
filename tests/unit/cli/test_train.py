"""Number of processes that `frcnn train` starts."""

from itertools import pairwise

import pytest

from frcnn.cli.main import main
from frcnn.distributed import launcher
from frcnn.distributed.rank_outcome import Outcome
from tests.support.task_spec import write_spec


@pytest.fixture
def started(monkeypatch):
    """Numbers of processes that would have been started."""
    numbers = []

    def record(command, processes, environment):
        numbers.append(processes)
        return Outcome(0, 0, result={"last": None, "best": None, "kpi": {}})

    monkeypatch.setattr(launcher, "launch", record)
    return numbers


def train(folder, *words, parallel=""):
    spec = write_spec(folder / "spec.txt")
    spec.write_text(spec.read_text() + f"training_config {{ {parallel} }}\n")
    return main(["train", "-e", str(spec), "-r", str(folder / "results"), *words])


SPREAD = "model_parallelism: 1 model_parallelism: 1"


@pytest.mark.parametrize(
    ("words", "parallel", "processes"),
    [
        (["--gpus", "4"], "", 4),
        (["--gpus", "4", "-np", "4"], "", 4),
        (["--gpus", "4"], SPREAD, 2),
        (["--gpus", "4", "-np", "2"], SPREAD, 2),
    ],
)
def test_a_process_takes_the_gpus_that_its_model_is_spread_over(
    tmp_path, started, words, parallel, processes
):
    assert train(tmp_path, *words, parallel=parallel) == 0
    assert started == [processes]


@pytest.mark.parametrize(
    ("words", "parallel", "needed"),
    [
        (["--gpus", "3"], SPREAD, "1 process needs --gpus 2"),
        (["--gpus", "8", "-np", "2"], SPREAD, "2 processes need --gpus 4"),
        (["--gpus", "4", "-np", "4"], SPREAD, "4 processes need --gpus 8"),  # not overruled
        (["-np", "1"], SPREAD, "1 process needs --gpus 2"),
        (["--gpus", "4", "-np", "2"], "", "2 processes need --gpus 2"),
        (["--gpus", "2", "-np", "1"], "", "1 process needs --gpus 1"),
    ],
)
def test_a_number_of_processes_that_does_not_fit_is_an_error(
    tmp_path, started, capsys, words, parallel, needed
):
    assert train(tmp_path, *words, parallel=parallel) == 2
    assert needed in capsys.readouterr().err
    assert started == []


@pytest.fixture
def commands(monkeypatch):
    """Command lines of the processes that would have been started."""
    lines = []

    def record(command, processes, environment):
        lines.append([str(word) for word in command])
        return Outcome(0, 0, result={"last": None, "best": None, "kpi": {}})

    monkeypatch.setattr(launcher, "launch", record)
    return lines


def test_the_processes_train_by_the_fields_that_are_set(tmp_path, commands):
    words = ("--gpus", "2", "--set", "random_seed=7", "--epochs", "3", "--resume")
    assert train(tmp_path, *words, parallel="checkpoint_interval: 5") == 0
    (command,) = commands
    settings = [word for flag, word in pairwise(command) if flag == "--set"]
    assert settings == [
        "random_seed=7",
        f'training_config.resume_from_model="{tmp_path}/results"',
        "training_config.num_epochs=3",
        "training_config.checkpoint_interval=3",  # a training that is made short still leaves a model
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--epochs", "0"], "--epochs 0: expected 1 or more"),
        (["--set", "training_config.num_epoch=5"], "unknown field; did you mean 'num_epochs'?"),
        (["--set", "num_epochs=5"], "did you mean 'training_config.num_epochs'?"),
        (["--set", "training_config.num_epochs=0"], "found 0; expected a number >= 1 (--set"),
        (["--resume", "x.tlt"], "expected a results folder, or a file name with the epoch"),
    ],
)
def test_what_is_set_is_checked_as_the_spec_is(tmp_path, capsys, words, told):
    assert train(tmp_path, *words) == 2
    assert told in capsys.readouterr().err


def test_resume_without_a_name_means_the_results_folder(tmp_path, capsys):
    assert train(tmp_path, "--resume") == 1
    assert f"{tmp_path}/results: no checkpoint in this folder" in capsys.readouterr().err
