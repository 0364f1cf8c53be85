"""The settings that both sides of the speed benchmark share, and the scene they both see.

Only the standard library and numpy: this module is imported by two interpreters, the project's
own and the one of the peer. B images, G ground-truth boxes an image.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Settings:
    """A Faster R-CNN with a ResNet-18 C4 backbone, as in the user guide's sample spec."""

    height: int = 384
    width: int = 1248
    # Foreground classes; the background is not counted.
    class_names: tuple[str, ...] = ("car", "cyclist", "person")
    anchor_scales: tuple[float, ...] = (64.0, 128.0, 256.0)
    # width / height
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
    # Small, so that noise images do not blow the weights up while being timed.
    learning_rate: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 1e-4
    boxes_per_image: int = 10
    # Our side pads the boxes of an image to this number; the peer takes lists.
    padded_boxes: int = 100


SETTINGS = Settings()


@dataclasses.dataclass(frozen=True)
class Scene:
    """Network-ready random images and their boxes.

    Attributes:
        images: float32 [B, H, W, 3], about unit variance.
        boxes: float32 [B, G, 4] `yxyx` pixels, whole numbers, inside the image.
        classes: int32 [B, G], 0 .. classes-1, no background.
    """

    images: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray


def random_scene(batch: int, settings: Settings = SETTINGS, seed: int = 42) -> Scene:
    """The same `batch` images on both sides: noise, with boxes of car-like sizes (30 to 200 px)."""
    random = np.random.default_rng(seed)
    shape = (batch, settings.boxes_per_image)
    heights = random.integers(30, 200, shape)
    widths = random.integers(30, 200, shape)
    tops = (random.random(shape) * (settings.height - 1 - heights)).astype(np.int64)
    lefts = (random.random(shape) * (settings.width - 1 - widths)).astype(np.int64)
    boxes = np.stack([tops, lefts, tops + heights, lefts + widths], axis=-1)
    return Scene(
        images=random.standard_normal((batch, settings.height, settings.width, 3), dtype=np.float32),
        boxes=boxes.astype(np.float32),
        classes=random.integers(0, len(settings.class_names), shape).astype(np.int32),
    )
