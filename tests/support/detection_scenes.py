"""Random images with objects and imperfect detections of them, seeded; what tests and benchmarks judge."""

import dataclasses

import numpy as np

from frcnn.model.batch_detector import DetectionBatch

HEIGHT, WIDTH = 240, 320


@dataclasses.dataclass(frozen=True)
class Scene:
    """One image: objects and detections, boxes yxyx px in whole numbers."""

    boxes: np.ndarray
    classes: np.ndarray
    difficult: np.ndarray
    found_boxes: np.ndarray
    scores: np.ndarray
    found_classes: np.ndarray


def random_scenes(
    seed: int,
    images: int,
    *,
    classes: int = 3,
    objects: int = 8,
    difficult: float = 0.15,
    crowding: float = 60.0,
    skilled: bool = False,
) -> list[Scene]:
    """Scenes with 0 to `objects` objects each, close enough together (`crowding` px) to be confused.

    By default an object is seen 0 to 3 times, and scores mean nothing: many matches are doubtful, which
    is what tests need. A `skilled` detector sees most objects once, more exactly, and knows when it is right.
    """
    random = np.random.default_rng(seed)
    return [_scene(random, classes, objects, difficult, crowding, skilled) for _ in range(images)]


def enlarged(scene: Scene, times: int) -> Scene:
    """The scene with each pixel made `times` x `times`: overlaps that count the last pixel stay the same."""
    last = np.asarray([0, 0, times - 1, times - 1])
    return dataclasses.replace(
        scene, boxes=scene.boxes * times + last, found_boxes=scene.found_boxes * times + last
    )


def as_batch(
    scenes: list[Scene], slots: int = 32, times: int = 1
) -> tuple[DetectionBatch, dict[str, np.ndarray]]:
    """The padded batches that an evaluator gets of `scenes`, which may be `enlarged` by `times`."""
    count = len(scenes)
    batch = {
        "images": np.zeros((count, HEIGHT * times, WIDTH * times, 1), np.uint8),
        "boxes": np.zeros((count, slots, 4), np.float32),
        "classes": np.zeros((count, slots), np.int32),
        "valid": np.zeros((count, slots), bool),
        "difficult": np.zeros((count, slots), bool),
        "image_valid": np.ones(count, bool),
    }
    room = max([1, *(len(scene.scores) for scene in scenes)])
    found = DetectionBatch(
        boxes=np.zeros((count, room, 4), np.float32),
        scores=np.zeros((count, room), np.float32),
        classes=np.zeros((count, room), np.int32),
        count=np.asarray([len(scene.scores) for scene in scenes], np.int32),
        rois=np.zeros((count, room, 4), np.float32),
    )
    for index, scene in enumerate(scenes):
        real = slice(len(scene.boxes))
        batch["boxes"][index, real], batch["classes"][index, real] = scene.boxes, scene.classes
        batch["valid"][index, real], batch["difficult"][index, real] = True, scene.difficult
        real = slice(len(scene.scores))
        found.boxes[index, real], found.scores[index, real] = scene.found_boxes, scene.scores
        found.classes[index, real], found.rois[index, real] = scene.found_classes, scene.found_boxes
    return found, batch


def _scene(
    random: np.random.Generator, classes: int, objects: int, difficult: float, crowding: float, skilled: bool
) -> Scene:
    count = int(random.integers(0, objects + 1))
    boxes = _boxes(random, count, crowding)
    names = random.integers(0, classes, count)
    times = random.choice([0, 1, 2], count, p=[0.1, 0.8, 0.1]) if skilled else random.integers(0, 4, count)
    sources = np.repeat(np.arange(count), times)
    moved = boxes[sources] + np.rint(random.normal(0, 2.5 if skilled else 5, (len(sources), 4)))
    ghosts = _boxes(random, int(random.integers(0, 4)), crowding)
    found = _legal(np.concatenate([moved, ghosts]))
    mistaken = random.random(len(sources)) < 0.1
    seen = np.where(mistaken, random.integers(0, classes, len(sources)), names[sources])
    scores = random.random(len(found))
    if skilled:
        scores = np.concatenate([random.beta(4, 1.5, len(sources)), random.beta(1.5, 4, len(ghosts))])
    return Scene(
        boxes=boxes,
        classes=names,
        difficult=random.random(count) < difficult,
        found_boxes=found,
        scores=scores.astype(np.float32),
        found_classes=np.concatenate([seen, random.integers(0, classes, len(ghosts))]).astype(np.int64),
    )


def _boxes(random: np.random.Generator, count: int, crowding: float) -> np.ndarray:
    middles = np.asarray([HEIGHT / 2, WIDTH / 2]) + random.normal(0, crowding, (count, 2))
    halves = random.uniform(5, 35, (count, 2))
    return _legal(np.rint(np.concatenate([middles - halves, middles + halves], axis=1)))


def _legal(boxes: np.ndarray) -> np.ndarray:
    """Inside the image, with at least two pixels a side."""
    low = np.clip(boxes[:, :2], 0, [HEIGHT - 2, WIDTH - 2])
    high = np.clip(boxes[:, 2:], low + 1, [HEIGHT - 1, WIDTH - 1])
    return np.concatenate([low, high], axis=1)
