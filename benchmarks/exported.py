"""Worker: an exported file in one runtime, as `frcnn evaluate` runs it, without TensorFlow around it.

Run by `run_export.py` under the project's own interpreter.
"""

import argparse
import importlib.metadata
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.settings import random_scene
from benchmarks.workers import peak_mib, serve
from frcnn.inference.onnx_sessions import RuntimeChoice, open_session

WARM_UP_STEPS = 2


class Exported:
    """Our side: from images as arrays to detections."""

    def __init__(self, model: Path, choice: RuntimeChoice, batch: int) -> None:
        """Opens the file and runs it once, which is what `start-up` counts."""
        self.images = random_scene(batch).images
        self.choice = choice
        start = time.perf_counter()
        self.session = open_session(model, model, choice)
        self.step("infer")
        self.start_up = time.perf_counter() - start
        self.loading_peak = peak_mib()

    def prepare(self, phase: str) -> dict[str, Any]:
        """Warms up."""
        for _ in range(WARM_UP_STEPS):
            self.step(phase)
        return {}

    def step(self, phase: str) -> None:
        """One inference, with the transposition that the file's layout asks for."""
        channels_first = np.ascontiguousarray(self.images.transpose(0, 3, 1, 2))
        _, scores, _, count = self.session.run({"input_image": channels_first})
        self.found = {"detections": count.tolist(), "best_score": round(float(scores.max()), 3)}

    def report(self) -> dict[str, Any]:
        """Version, detections, seconds and peak memory until the first answer."""
        version = f"{self.choice.name} {importlib.metadata.version(self.choice.name)}"
        start = {"start_up": self.start_up, "start_up_mib": self.loading_peak}
        return {"versions": version, **start, **self.found}


def main() -> None:
    """Serves commands from stdin."""
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
