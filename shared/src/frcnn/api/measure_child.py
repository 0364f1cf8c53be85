"""Measures the cost of a model: `python -m frcnn.api.measure_child`, with the request on standard input."""

import json
import statistics
import sys
import time
from pathlib import Path

from frcnn.console.quiet_import import quiet_tensorflow_import
from frcnn.console.signals import end_with_parent

_WARM_UP, _RUNS = 5, 25


def main() -> int:
    """Prints the measured values as one line of JSON.

    Returns:
        Exit code.
    """
    end_with_parent()
    request = json.loads(sys.stdin.readline())
    found: dict[str, float] = {}
    with quiet_tensorflow_import():
        if "flops" in request["objectives"]:
            found["flops"] = _flops(Path(request["model"]), request["key"], request["rois"])
        if "latency" in request["objectives"]:
            found["latency"] = _latency(request["model"], request["key"])
    sys.stdout.write(f"{json.dumps(found)}\n")
    return 0


def _flops(model: Path, key: str, rois: int) -> float:
    """Returns the operations for one image, G."""
    from frcnn.model.files.checkpoint import load_model
    from frcnn.model.summary import summarize

    return summarize(load_model(model, key)[0], rois).total("flops") / 1e9


def _latency(model: str, key: str) -> float:
    """Returns the median time of a detection in one image of the network's size, ms."""
    import numpy as np

    from frcnn.api.loading import load

    with load(model, key=key or None) as detector:
        height, width = detector.input_size or (0, 0)
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        times = []
        for _ in range(_WARM_UP + _RUNS):
            began = time.perf_counter()
            detector.predict(image)
            times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times[_WARM_UP:])


if __name__ == "__main__":
    sys.exit(main())
