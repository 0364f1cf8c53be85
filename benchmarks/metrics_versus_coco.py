"""Compares mAP with pycocotools on the same detections, one difference in definitions at a time.

Usage: python -m benchmarks.metrics_versus_coco [images]. docs/evaluation.md quotes the output.
"""

import sys
from collections.abc import Sequence

import numpy as np

from frcnn.evaluation.evaluator import Evaluator
from frcnn.evaluation.settings import EvaluationSettings, iou_range
from tests.support.coco_peer import coco_ap
from tests.support.detection_scenes import Scene, as_batch, enlarged, random_scenes

NAMES = ("bus", "car", "dog")
RANGES = {"0.50": (0.5,), "0.75": (0.75,), "0.50:0.95": iou_range(0.5, 1.0, 0.05)}


def _our_map(
    scenes: list[Scene], thresholds: Sequence[float], times: int, *, voc07: bool = False, coco: bool = False
) -> float:
    """Computes mAP with the project's evaluator, on scenes enlarged `times`; the mean over the thresholds."""
    evaluator = Evaluator(EvaluationSettings(NAMES, tuple(thresholds), voc07=voc07, coco_matching=coco))
    evaluator.update(*as_batch(scenes, times=times))
    return evaluator.report().mean_ap or 0.0


def _differences(scenes: list[Scene], thresholds: Sequence[float], times: int) -> dict[str, float]:
    """Computes mAP with each definition, on scenes enlarged `times`."""
    return {
        "ours, VOC12": _our_map(scenes, thresholds, times),
        "ours, coco_matching": _our_map(scenes, thresholds, times, coco=True),
        "pycocotools, +1 widths": float(np.nanmean(coco_ap(scenes, len(NAMES), thresholds))),
        "pycocotools as it is": float(np.nanmean(coco_ap(scenes, len(NAMES), thresholds, extra=0.0))),
        "ours, VOC07": _our_map(scenes, thresholds, times, voc07=True),
    }


def main(images: int) -> None:
    """Prints one table per object size.

    Args:
        images: Number of simulated images.
    """
    # The smaller the objects, the larger the effect of the +1.
    scenes = random_scenes(0, images, classes=len(NAMES), crowding=80.0, skilled=True)
    for times in (1, 4):
        shown = [enlarged(scene, times) for scene in scenes]
        table = {name: _differences(shown, thresholds, times) for name, thresholds in RANGES.items()}
        print(f"{images} images, objects of {10 * times} to {70 * times} px; difference to ours in brackets")
        print(f"{'mAP at IoU':<24}" + "".join(f"{name:>20}" for name in table))
        for row in next(iter(table.values())):
            values = [(column[row], column[row] - column["ours, VOC12"]) for column in table.values()]
            cells = "".join(f"{f'{value:.4f} ({change:+.4f})':>20}" for value, change in values)
            print(f"{row:<24}{cells}")
        print()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
