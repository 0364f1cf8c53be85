"""Worker process: runs an exported file in one runtime as `frcnn evaluate` does, without TensorFlow.

`run_export.py` starts it with the project's interpreter.
"""

import argparse
import importlib.metadata
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.settings import random_scene
from benchmarks.workers import peak_mib, serve
from frcnn.inference.onnx_sessions import open_session
from frcnn.inference.runtime_choice import RuntimeChoice

WARM_UP_STEPS = 2


class Exported:
    """Side of the benchmark that maps image arrays to detections with an exported file."""

    def __init__(self, model: Path, choice: RuntimeChoice, batch: int) -> None:
        """Opens the file and runs it once; `start_up` is the time of both.

        Args:
            model: Exported file.
            choice: Runtime and its options.
            batch: Batch size.
        """
        self.images = random_scene(batch).images
        self.choice = choice
        start = time.perf_counter()
        self.session = open_session(model, model, choice)
        self.step("infer")
        self.start_up = time.perf_counter() - start
        self.loading_peak = peak_mib()

    def prepare(self, phase: str) -> dict[str, Any]:
        """Runs a few inferences to warm up."""
        for _ in range(WARM_UP_STEPS):
            self.step(phase)
        return {}

    def step(self, phase: str) -> None:
        """Runs one inference, including the transposition to the file's channels-first layout."""
        channels_first = np.ascontiguousarray(self.images.transpose(0, 3, 1, 2))
        _, scores, _, count = self.session.run({"input_image": channels_first})
        self.found = {"detections": count.tolist(), "best_score": round(float(scores.max()), 3)}

    def report(self) -> dict[str, Any]:
        """Returns version, detections, and time and peak memory up to the first result."""
        version = f"{self.choice.name} {importlib.metadata.version(self.choice.name)}"
        start = {"start_up": self.start_up, "start_up_mib": self.loading_peak}
        return {"versions": version, **start, **self.found}


def main() -> None:
    """Serves commands from standard input."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--model", type=Path, required=True)
    flags.add_argument("--runtime", required=True)
    flags.add_argument("--precision-hint", default="")
    flags.add_argument("--fast-head", action="store_true")
    flags.add_argument("--batch", type=int, default=1)
    flags.add_argument("--threads", type=int, required=True)
    args = flags.parse_args()
    choice = RuntimeChoice(args.runtime, args.precision_hint, args.threads, args.fast_head)
    serve(lambda: Exported(args.model, choice, args.batch))


if __name__ == "__main__":
    main()
