"""How many processes `frcnn train` starts."""

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
        (["--gpus", "4", "-np", "2"], "", 2),
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
    ("words", "needed"),
    [(["--gpus", "3"], "1 processes need --gpus 2"), (["--gpus", "8", "-np", "2"], "--gpus 4")],
)
def test_gpus_that_are_left_over_are_an_error(tmp_path, started, capsys, words, needed):
    assert train(tmp_path, *words, parallel=SPREAD) == 2
    assert needed in capsys.readouterr().err
    assert started == []
