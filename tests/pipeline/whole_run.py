"""The pipeline as a person runs it on one machine, and what it leaves."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = """
import sys, time
from frcnn.cli import task_runner
from frcnn.cli.tasks import Task
from pipelines import command
task = Task("pipeline", "pipelines.command", "", prints_status=False)
code = task_runner.run(task, command, sys.argv[1:])
sys.stderr.write(f"\\nCPU seconds of the pipeline itself: {time.process_time():.1f}\\n")
sys.exit(code)
"""
# Beside the records, which are as many as shards.
ARTIFACTS = {
    "convert/metrics",
    "convert/page",
    "convert/records/suggested_spec.txt",
    "train/metrics",
    "train/model/model.keras",
    "train/model/status.json",
    "evaluate/metrics",
    "evaluate/confusion",
    "evaluate/page",
    "evaluate/report/report.html",
    "evaluate/report/PR_curve.png",
    "evaluate/report/PR_curve_iou0.50.png",
    "evaluate/report/metrics.json",
    "prune/metrics",
    "prune/pruned/model.keras",
    "prune/pruned/pruning.json",
    "retrain/metrics",
    "retrain/model/model.keras",
    "retrain/model/status.json",
    "evaluate-retrained/metrics",
    "evaluate-retrained/confusion",
    "evaluate-retrained/page",
    "evaluate-retrained/report/report.html",
    "evaluate-retrained/report/PR_curve.png",
    "evaluate-retrained/report/PR_curve_iou0.50.png",
    "evaluate-retrained/report/metrics.json",
    "compare/metrics",
    "export/exported/labels.txt",
    "export/exported/model.onnx",
    "export/exported/spec.txt",
}


def pipeline_run(folder, *flags, data=None, spec=True):
    """Runs `folder/spec.txt` on `data`, by default `folder/data`; what it did is in `folder/out`."""
    path = os.pathsep.join([str(ROOT / "shared" / "src"), str(ROOT)])
    words = [
        "run",
        *(["--spec", folder / "spec.txt"] if spec else []),
        "--data",
        data or folder / "data",
        "-o",
        folder / "out",
        *flags,
    ]
    return subprocess.run(
        [sys.executable, "-P", "-c", COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def files(folder):
    """Every file of the last run, by the name of its link; what the links lead to included."""
    return {
        str(Path(place, name).relative_to(folder))
        for place, _, names in os.walk(folder, followlinks=True)
        for name in names
    }
