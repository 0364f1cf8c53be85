"""The whole way as users go it: one command, real processes, real training."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from frcnn.demo.dataset import write_demo_data

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


def demo(folder, *words):
    command = [sys.executable, "-m", "frcnn", "demo", "-o", "out", *map(str, words)]
    path = os.pathsep.join([str(ROOT / "shared" / "src"), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    write_demo_data(folder / "shapes", images=40, seed=1, height=128, width=160)
    done = demo(folder, "--data", "shapes", "--epochs", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done


def test_one_command_takes_labels_to_two_models_their_metrics_and_annotated_images(finished):
    folder, done = finished
    latest = folder / "out" / "run" / "latest"
    metrics = [
        json.loads((latest / step / "report" / "metrics.json").read_text())
        for step in ("evaluate", "evaluate-retrained")
    ]
    assert [each["images"] for each in metrics] == [8, 8]
    table = [line.split() for line in done.stdout.splitlines()]
    assert ["mAP", *(f"{each['mAP']:.4f}" for each in metrics)] in table
    assert (latest / "export" / "exported" / "model.onnx").is_file()
    assert done.stdout.endswith("Execution status: PASS\n")
    _, _, listed = done.stdout.partition("annotated images (5 of 8):\n")
    for path in listed.split("\n")[:5]:
        assert (folder / path.strip()).is_file()
    assert "Traceback" not in done.stderr
    assert "oneDNN" not in done.stderr
    assert "Warning" not in done.stderr


def test_the_same_command_again_trains_nothing_anew(finished):
    folder, _ = finished
    again = demo(folder, "--data", "shapes", "--epochs", 2)
    assert again.returncode == 0, again.stderr
    states = [line.split() for line in again.stdout.splitlines()]
    for step in ("convert", "train", "prune", "retrain", "export"):
        assert [step, "reused"] in [words[:2] for words in states]
