"""`frcnn demo` without data: what README promises of it. The longest test of this folder."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# CPU seconds of all steps together; five minutes on two cores are 600.
MAX_CPU_SECONDS = 600

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The output folder, and the CPU seconds of the run."""
    folder = tmp_path_factory.mktemp("synthetic")
    path = os.pathsep.join([str(ROOT / "shared" / "src"), str(ROOT)])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "frcnn", "demo", "-o", "out"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    return folder / "out", after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def boxes(path: Path) -> list[tuple[str, list[float]]]:
    lines = [line.split() for line in path.read_text().splitlines()]
    return [(words[0], [float(side) for side in words[4:8]]) for words in lines]


def iou(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared)


def test_both_models_reach_a_map_of_0_9(finished):
    out, _ = finished
    for step in ("evaluate", "evaluate-retrained"):
        metrics = json.loads((out / "run" / "latest" / step / "report" / "metrics.json").read_text())
        assert metrics["images"] == 40
        assert metrics["mAP"] >= 0.9, step


def test_no_picture_has_a_wrong_box(finished):
    out, _ = finished
    shown = 0
    for path in sorted((out / "labels").glob("*.txt")):
        objects = boxes(out / "data" / "labels" / path.name)
        for name, box in boxes(path):
            assert any(name == each and iou(box, real) >= 0.5 for each, real in objects), (path, name, box)
            shown += 1
    assert shown >= 10


def test_the_whole_demo_costs_no_more_than_five_minutes_of_two_cores(finished):
    _, seconds = finished
    print(f"{seconds:.0f} CPU seconds")
    assert seconds <= MAX_CPU_SECONDS
