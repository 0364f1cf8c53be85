"""A second implementation of matching and AP: loops over lists, no numpy, written from the definitions."""

from collections.abc import Sequence

from tests.support.detection_scenes import Scene

Box = Sequence[float]


def plain_iou(box: Box, other: Box) -> float:
    height = min(box[2], other[2]) - max(box[0], other[0]) + 1
    width = min(box[3], other[3]) - max(box[1], other[1]) + 1
    if height <= 0 or width <= 0:
        return 0.0
    areas = [(b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (box, other)]
    return height * width / (sum(areas) - height * width + 1e-6)


def plain_outcomes(scene: Scene, name: int, threshold: float) -> list[tuple[float, bool]]:
    """(score, right) of a class's detections in one image; those of difficult objects are left out."""
    objects = [
        (box, hard)
        for box, c, hard in zip(scene.boxes, scene.classes, scene.difficult, strict=True)
        if c == name
    ]
    found = zip(scene.scores, scene.found_boxes, scene.found_classes, strict=True)
    outcomes, taken = [], set()
    for score, box, _ in sorted((f for f in found if f[2] == name), key=lambda f: -f[0]):
        overlaps = [plain_iou(box, other) for other, _ in objects]
        at = max(range(len(objects)), key=lambda index: overlaps[index], default=-1)
        if at < 0 or overlaps[at] < threshold:
            outcomes.append((float(score), False))
        elif not objects[at][1]:
            outcomes.append((float(score), at not in taken))
            taken.add(at)
    return outcomes


def plain_average_precision(outcomes: list[tuple[float, bool]], objects: int, voc07: bool) -> float:
    """From (score, right) pairs; equal scores count together."""
    points = []
    for threshold in sorted({score for score, _ in outcomes}, reverse=True):
        kept = [right for score, right in outcomes if score >= threshold]
        points.append((sum(kept), sum(kept) / len(kept)))
    if voc07:
        best = [max([p for found, p in points if found * 10 >= k * objects], default=0.0) for k in range(11)]
        return sum(best) / 11
    area = 0.0
    for found in range(1, objects + 1):
        area += max([p for n, p in points if n >= found], default=0.0) / objects
    return area
