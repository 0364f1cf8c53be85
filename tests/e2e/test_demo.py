"""The whole way as users go it: one command, real processes, real training."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from frcnn.data.demo_data import write_demo_data

SOURCES = Path(__file__).parents[2] / "shared" / "src"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def demo(folder, *words):
    command = [sys.executable, "-m", "frcnn", "demo", "-o", "out", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    return subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


def test_one_command_takes_labels_to_metrics_and_annotated_images(tmp_path):
    write_demo_data(tmp_path / "shapes", images=40, seed=1, height=128, width=160)
    done = demo(tmp_path, "--data", "shapes", "--epochs", 2)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "out" / "results" / "metrics.json").read_text())
    assert metrics["images"] == 8
    assert 0.0 <= metrics["mAP"] <= 1.0
    assert f"{metrics['mAP']:.4f}\nmodel:" in done.stdout
    assert done.stdout.endswith("Execution status: PASS\n")
    for path in done.stdout.split("annotated images:\n")[-1].split("\n")[:4]:
        assert (tmp_path / path.strip()).is_file()
    assert "Traceback" not in done.stderr
    assert "oneDNN" not in done.stderr
    assert "Warning" not in done.stderr


def test_a_second_run_takes_the_place_of_the_first(tmp_path):
    write_demo_data(tmp_path / "shapes", images=10, seed=1, height=128, width=160)
    for _ in range(2):
        done = demo(tmp_path, "--data", "shapes", "--epochs", 1)
        assert done.returncode == 0, done.stderr
    assert "replaced" in done.stdout
