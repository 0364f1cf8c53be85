"""Defines the settings and the scene that both sides of the speed benchmark share.

This module uses only the standard library and NumPy, because this project's interpreter and torchvision's
import it. In shapes, B is the number of images and G the number of ground-truth boxes per image.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a Faster R-CNN with a ResNet-18 C4 backbone, as in the user guide's sample spec."""

    height: int = 384
    width: int = 1248
    # Foreground classes only.
    class_names: tuple[str, ...] = ("car", "cyclist", "person")
    anchor_scales: tuple[float, ...] = (64.0, 128.0, 256.0)
    # Width / height.
    anchor_ratios: tuple[float, ...] = (1.0, 0.5, 2.0)
    rpn_channels: int = 512
    rpn_mini_batch: int = 256
    rpn_min_overlap: float = 0.3
    rpn_max_overlap: float = 0.7
    rpn_nms_threshold: float = 0.7
    train_pre_nms: int = 12000
    train_post_nms: int = 2000
    infer_pre_nms: int = 6000
    infer_post_nms: int = 300
    roi_mini_batch: int = 256
    roi_overlap: float = 0.5
    pool_size: int = 7
    code_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    score_threshold: float = 1e-4
    nms_threshold: float = 0.3
    max_detections: int = 100
    # A low rate keeps the weights finite when training on noise.
    learning_rate: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 1e-4
    boxes_per_image: int = 10
    # This project pads the boxes of an image to this number; torchvision takes lists.
    padded_boxes: int = 100


SETTINGS = Settings()


@dataclasses.dataclass(frozen=True)
class Scene:
    """Preprocessed random images and their boxes.

    Attributes:
        images: Images, float32 `[B, H, W, 3]`, about unit variance.
        boxes: Boxes inside the image, float32 `[B, G, 4]`, `yxyx`, whole pixels.
        classes: Classes without background, int32 `[B, G]`, 0 to number of classes - 1.
    """

    images: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray


def random_scene(batch: int, seed: int = 42) -> Scene:
    """Generates noise images with boxes of car-like sizes (30 to 200 px), the same on both sides.

    Args:
        batch: Number of images.
        seed: Random seed.

    Returns:
        The scene.
    """
    random = np.random.default_rng(seed)
    shape = (batch, SETTINGS.boxes_per_image)
    heights = random.integers(30, 200, shape)
    widths = random.integers(30, 200, shape)
    tops = (random.random(shape) * (SETTINGS.height - 1 - heights)).astype(np.int64)
    lefts = (random.random(shape) * (SETTINGS.width - 1 - widths)).astype(np.int64)
    boxes = np.stack([tops, lefts, tops + heights, lefts + widths], axis=-1)
    return Scene(
        images=random.standard_normal((batch, SETTINGS.height, SETTINGS.width, 3), dtype=np.float32),
        boxes=boxes.astype(np.float32),
        classes=random.integers(0, len(SETTINGS.class_names), shape).astype(np.int32),
    )
