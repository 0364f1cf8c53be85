"""A training so small that tests can run it whole: bright squares on dark noise."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from frcnn.data.records.annotations import ImageRecord, Label
from frcnn.spec import Experiment, load_experiment
from tests.support.loading import image_bytes, write_records
from tests.support.task_spec import make_dynamic, write_spec

HEIGHT, WIDTH, SIDE = 128, 160, 40


def toy_spec(
    folder: Path,
    *,
    images: int = 8,
    validation: int = 2,
    training: str = "",
    evaluation: str = "",
    sizes: Sequence[tuple[int, int]] = (),
    picture: Callable[[int, int, int], ImageRecord] | None = None,
) -> Experiment:
    """Writes records and a spec into `folder`; `training` is text that ends `training_config`.

    Scalars given twice in protobuf text count as given last, so `training` may override anything. With
    `sizes`, images take them in turn, and the shape is dynamic. `picture` draws in the place of `scene`.
    Without `validation` images the spec names no validation set: a third of a short training's time is saved.
    """
    shapes = sizes or ((HEIGHT, WIDTH),)
    draw = picture or scene
    for name, first, count in (("000", 0, validation), ("001", 100, images)):
        if not count:
            continue
        records = [draw(first + number, *shapes[number % len(shapes)]) for number in range(count)]
        write_records(folder / f"toy-fold-{name}-of-002", records)
    path = write_spec(
        folder / "spec.txt", records=f"{folder}/toy-fold-*", images=folder, evaluation=evaluation
    )
    small = (
        "rpn_pre_nms_top_N: 100 rpn_nms_max_boxes: 32 rpn_nms_overlap_threshold: 0.7 checkpoint_interval: 1"
    )
    text = path.read_text() if validation else path.read_text().replace("  validation_fold: 0\n", "")
    path.write_text(f"{text}training_config {{ {small} {training} }}\n", encoding="utf-8")
    if sizes:
        make_dynamic(path)
    return load_experiment(path)


def scene(seed: int, height: int = HEIGHT, width: int = WIDTH) -> ImageRecord:
    """A dark image with one bright square, the class of which is told by its color."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 40, (height, width, 3), np.uint8)
    y, x = (int(random.integers(4, limit - SIDE - 4)) for limit in (height, width))
    name, channel = (("car", 0), ("person", 2))[seed % 2]
    pixels[y : y + SIDE, x : x + SIDE, channel] = 220
    label = Label(name, float(x), float(y), float(x + SIDE - 1), float(y + SIDE - 1))
    return ImageRecord(f"images/{seed:06d}", height, width, (label,), image_bytes(pixels), "png")


def filled_or_empty(seed: int, height: int = HEIGHT, width: int = WIDTH) -> ImageRecord:
    """A dark image, or one that an object fills from border to border."""
    random = np.random.default_rng(seed)
    full = seed % 2 == 0
    pixels = random.integers(0, 40, (height, width, 3), np.uint8)
    labels = ()
    if full:
        pixels[..., 0] = random.integers(150, 255, (height, width), np.uint8)
        labels = (Label("car", 0.0, 0.0, float(width - 1), float(height - 1)),)
    return ImageRecord(f"images/{seed:06d}", height, width, labels, image_bytes(pixels), "png")


def filled(seed: int, height: int = HEIGHT, width: int = WIDTH) -> ImageRecord:
    """An image that an object fills from border to border, the class of which is told by its color."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 40, (height, width, 3), np.uint8)
    name, channel = (("car", 0), ("person", 2))[seed % 2]
    pixels[..., channel] = random.integers(150, 255, (height, width), np.uint8)
    label = Label(name, 0.0, 0.0, float(width - 1), float(height - 1))
    return ImageRecord(f"images/{seed:06d}", height, width, (label,), image_bytes(pixels), "png")


def flat(seed: int, height: int = HEIGHT, width: int = WIDTH) -> ImageRecord:
    """An image of one gray throughout, with an object that nothing shows."""
    pixels = np.full((height, width, 3), 128, np.uint8)
    label = Label("car", 20.0, 20.0, 80.0, 80.0)
    return ImageRecord(f"images/{seed:06d}", height, width, (label,), image_bytes(pixels), "png")


def object_batch() -> dict[str, np.ndarray]:
    """A training batch of one image of noise with one object, as the loader would make it."""
    boxes, valid = np.zeros((1, 5, 4), np.float32), np.zeros((1, 5), bool)
    boxes[0, 0], valid[0, 0] = (20, 30, 70, 90), True
    return {
        "images": np.random.default_rng(0).normal(size=(1, HEIGHT, WIDTH, 3)).astype(np.float32),
        "boxes": boxes,
        "classes": np.zeros((1, 5), np.int32),
        "valid": valid,
        "difficult": np.zeros((1, 5), bool),
        "size": np.array([[HEIGHT, WIDTH]], np.int32),
    }
