import os
import sys
from pathlib import Path

import pytest

from benchmarks.workers import Worker, WorkerError

ROOT = Path(__file__).parents[3]

SIDE = """
from benchmarks.workers import serve

class Side:
    def prepare(self, phase):
        print("a library's chatter")
        return {"layout": phase}

    def step(self, phase):
        if phase == "train":
            raise FloatingPointError("loss is nan")

    def report(self):
        return {"versions": "one"}

serve(Side)
"""


@pytest.fixture
def worker(tmp_path):
    script = tmp_path / "side.py"
    script.write_text(SIDE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    worker = Worker.start("side", [sys.executable, str(script)], tmp_path / "log", environment)
    yield worker
    worker.stop()


def test_every_command_is_answered_and_chatter_stays_out_of_the_answers(worker):
    assert worker.ask("prepare infer") == {"layout": "infer"}
    answer = worker.ask("infer 2")
    assert len(answer["wall"]) == len(answer["cpu"]) == 2
    assert min(answer["wall"]) >= 0.0
    report = worker.ask("report")
    assert report["versions"] == "one"
    assert report["peak_mib"] > 1.0


def test_a_failing_step_is_named_with_the_end_of_the_log(worker):
    with pytest.raises(WorkerError, match="loss is nan") as failure:
        worker.ask("train 1")
    assert "Traceback" in str(failure.value)


def test_a_worker_that_has_ended_is_an_error_not_a_hang(worker):
    worker.stop()
    with pytest.raises(WorkerError, match="ended early"):
        worker.ask("infer 1")
