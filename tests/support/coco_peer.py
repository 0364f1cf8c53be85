"""pycocotools on the same scenes, with its definitions as they are or turned into ours.

pycocotools knows no difficult objects. Ones larger than the area range it looks at are treated the same
way: not missed when not found, and their detections neither right nor wrong. That range is how difficulty
is told here.
"""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.support.detection_scenes import Scene

_LARGEST, _OUT_OF_RANGE = 1e10, 1e12


def coco_ap(
    scenes: Sequence[Scene],
    classes: int,
    thresholds: Sequence[float],
    *,
    recalls: Sequence[float] | None = None,
    extra: float = 1.0,
) -> np.ndarray:
    """AP [thresholds, classes] of pycocotools; NaN where a class has no object.

    Args:
        scenes: The images.
        classes: How many there are.
        thresholds: Of the IoU.
        recalls: At which precision is averaged; None for COCO's own 0, 0.01, ... 1.
        extra: Added to each side: 1 counts the last pixel as VOC does, 0 leaves COCO's own widths.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # it prints as it goes
        truth = COCO()
        truth.dataset = {
            "images": [{"id": number} for number in range(len(scenes))],
            "categories": [{"id": name} for name in range(classes)],
            "annotations": _annotations(scenes, extra),
        }
        truth.createIndex()
        found = _results(scenes, extra)
        if not found:
            return np.zeros((len(thresholds), classes))
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        parameters = evaluation.params
        # Just above each threshold: ours has 1e-6 added to the union, so that exactly 0.5 does not reach 0.5.
        parameters.iouThrs = np.asarray(thresholds) + 1e-7
        parameters.areaRng, parameters.areaRngLbl = [[0, _LARGEST]], ["all"]
        if recalls is not None:
            parameters.recThrs = np.asarray(recalls)
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # [thresholds, recalls, classes]
    return np.where(precision[:, 0] < 0, np.nan, precision.mean(axis=1))


def _annotations(scenes: Sequence[Scene], extra: float) -> list[dict]:
    annotations = []
    for number, scene in enumerate(scenes):
        for box, name, difficult in zip(scene.boxes, scene.classes, scene.difficult, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,  # 0 would mean "matched by none"
                    "image_id": number,
                    "category_id": int(name),
                    "bbox": _xywh(box, extra),
                    "area": _OUT_OF_RANGE if difficult else 1.0,
                    "iscrowd": 0,
                }
            )
    return annotations


def _results(scenes: Sequence[Scene], extra: float) -> list[dict]:
    return [
        {"image_id": number, "category_id": int(name), "bbox": _xywh(box, extra), "score": float(score)}
        for number, scene in enumerate(scenes)
        for box, score, name in zip(scene.found_boxes, scene.scores, scene.found_classes, strict=True)
    ]


def _xywh(box: np.ndarray, extra: float) -> list[float]:
    y1, x1, y2, x2 = (float(edge) for edge in box)
    return [x1, y1, x2 - x1 + extra, y2 - y1 + extra]
