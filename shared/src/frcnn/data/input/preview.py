"""Previews training images as the loader augments them."""

import dataclasses

import numpy as np
import tensorflow as tf

from frcnn.data.input.image_loader import Example, ImageLoader
from frcnn.data.input.sources import training_sources
from frcnn.data.settings import DataSettings
from frcnn.data.transforms.preprocess import ImageSettings, denormalize


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """One training image.

    Attributes:
        pixels: Image, uint8 `[H, W, 3]`, RGB.
        boxes: Boxes, `yxyx` in pixels, float32 `[n, 4]`.
        classes: Index into the class names, int32 `[n]`.
    """

    pixels: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray


def preview_samples(settings: DataSettings, images: int, variants: int) -> list[list[Sample]]:
    """Loads a few training images without augmentation and as several epochs would augment them.

    Augmentation is used even if the settings disable it. The images are spread evenly over the set.

    Args:
        settings: Settings of the data.
        images: Number of images.
        variants: Number of augmented versions per image.

    Returns:
        One row per image (fewer than `images` if the set is smaller), each with 1 + `variants` samples.

    Raises:
        DataError: The training set is unusable.
    """
    found = training_sources(settings)
    plain = ImageLoader(settings, found, training=True, augmented=False)
    changed = ImageLoader(settings, found, training=True, augmented=True)
    count = len(plain.index)
    numbers = np.unique(np.linspace(0, count - 1, min(images, count)).round().astype(np.int64))
    originals = _samples(plain, numbers, epochs=1)
    varied = _samples(changed, numbers, epochs=variants)
    return [[original, *varied[row :: len(numbers)]] for row, original in enumerate(originals)]


def _samples(loader: ImageLoader, numbers: np.ndarray, epochs: int) -> list[Sample]:
    """Loads each image once per epoch, epoch by epoch."""
    images, times = np.tile(numbers, epochs), np.repeat(np.arange(epochs), len(numbers))
    slots = tf.data.Dataset.from_tensor_slices(np.stack([images, times, images], axis=1))
    examples = slots.flat_map(loader.load).map(loader.prepare)
    return [to_sample(example, loader.settings) for example in examples]


def to_sample(example: Example, settings: ImageSettings) -> Sample:
    """Converts one element of a batch back to an image without padding.

    Args:
        example: Element from `ImageLoader.prepare`.
        settings: Input format of the network.
    """
    height, width = example["size"].numpy()
    pixels = denormalize(example["images"][:height, :width], settings).numpy()
    valid = example["valid"].numpy()
    return Sample(
        np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels,
        example["boxes"].numpy()[valid],
        example["classes"].numpy()[valid],
    )
