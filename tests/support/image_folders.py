"""Folders of small images, and a detector that sees what is plainly there."""

from pathlib import Path

import numpy as np
from PIL import Image

from frcnn.data.transforms.preprocess import ImageSettings
from frcnn.model.batch_detector import DetectionBatch

# What the fake detector was told to leave of an image: only the scale, so that a white patch is 255.
PLAIN = ImageSettings(
    height=32, width=48, channels=3, order="rgb", mean=(0.0, 0.0, 0.0), scale=1.0, auto_resize=True
)


def picture(patch: tuple[int, int, int, int] | None, height: int = 64, width: int = 96) -> np.ndarray:
    """A black uint8 [height, width, 3] picture with a white patch y1, x1, y2, x2, its far edges excluded."""
    pixels = np.zeros((height, width, 3), np.uint8)
    if patch is not None:
        y1, x1, y2, x2 = patch
        pixels[y1:y2, x1:x2] = 255
    return pixels


def save(path: Path, pixels: np.ndarray) -> Path:
    """Writes a picture, in the format of the suffix; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)
    return path


class PatchDetector:
    """Finds the bright patch of each image (class 1, score 0.9), and all of it as class 0 (score 0.3)."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []
        self.sizes: list[np.ndarray | None] = []

    def __call__(self, images: np.ndarray, sizes: np.ndarray | None = None) -> DetectionBatch:
        self.batches.append(images)
        self.sizes.append(sizes)
        count, height, width = images.shape[:3]
        boxes, scores = np.zeros((count, 4, 4), np.float32), np.zeros((count, 4), np.float32)
        classes, found = np.zeros((count, 4), np.int32), np.ones(count, np.int32)
        for index, image in enumerate(images):
            boxes[index, 0], scores[index, 0] = (0, 0, height - 1, width - 1), 0.3
            rows, columns = np.nonzero(image.mean(axis=-1) > 127)
            if len(rows):
                boxes[index, 1] = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
                scores[index, 1], classes[index, 1], found[index] = 0.9, 1, 2
        return DetectionBatch(boxes, scores, classes, found, rois=boxes)
