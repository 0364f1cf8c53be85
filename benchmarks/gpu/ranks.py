"""Section "Horovod": training on all GPUs over NCCL, beside one GPU."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.gpu.section import Task, run
from benchmarks.input_pipeline import write_records
from benchmarks.scaling_rank import WARM_UP_STEPS
from frcnn.distributed.launcher import launch
from frcnn.gpus import driver_gpus

STEPS = 15
# Smallest share of the speed of independent GPUs.
MIN_EFFICIENCY = 0.8
PROBE = "import horovod.tensorflow as hvd; print(int(hvd.nccl_built()))"


def main(task: Task) -> None:
    """Checks that Horovod has NCCL and compares one process with one per GPU.

    Args:
        task: Arguments of the section.
    """
    if importlib.util.find_spec("horovod") is None:
        task.notes.not_run("all of it", "Horovod is not installed: HOROVOD_GPU_OPERATIONS=NCCL make horovod")
        return
    answer = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    nccl = answer.stdout.strip()[-1:] not in ("", "0")
    if not task.rehearse:
        task.notes.checked(
            "Horovod has NCCL",
            "yes" if nccl else "no",
            nccl,
            "yes; build it with HOROVOD_GPU_OPERATIONS=NCCL",
        )
    count = 2 if task.rehearse else driver_gpus()
    if count < 2:
        task.notes.not_run("exchange between GPUs", "there is only one GPU")
        return
    alone, together = (_step_seconds(task.folder, number) for number in (1, count))
    efficiency = alone / together
    task.notes.checked(
        f"speed of {count} processes relative to independent ones",
        f"{efficiency:.0%}, {together:.3f} s per step",
        efficiency >= (0.0 if task.rehearse else MIN_EFFICIENCY),
        f"at least {MIN_EFFICIENCY:.0%}",
        alone=alone,
        together=together,
    )


def _step_seconds(folder: Path, processes: int) -> float:
    """Trains on record files in a number of processes; returns their mean seconds per step."""
    records, results = folder / f"records-{processes}", folder / f"ranks-{processes}"
    write_records(records, count=processes * (STEPS + WARM_UP_STEPS))
    command = [sys.executable, "-m", "benchmarks.scaling_rank", str(records), str(results), str(STEPS)]
    launch(command, processes)
    times = [json.loads(path.read_text())["step"] for path in sorted(results.glob("times_*.json"))]
    return float(sum(times) / len(times))


if __name__ == "__main__":
    run(main)
