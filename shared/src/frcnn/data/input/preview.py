"""What training images look like after augmentation: the loader's own output, as pictures."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from frcnn.data.input.image_loader import Example, ImageLoader
from frcnn.data.input.sources import training_sources
from frcnn.data.transforms.preprocess import ImageSettings, denormalise

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """One training image.

    Attributes:
        pixels: uint8 [H, W, 3], RGB.
        boxes: float32 [n, 4], yxyx px.
        classes: int32 [n], index into the spec's class_names.
    """

    pixels: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray


def preview_samples(spec: "Experiment", images: int, variants: int) -> list[list[Sample]]:
    """A few training images, each first as it is and then as `variants` epochs would change it.

    Augmentation is on even if the spec has it switched off. The images are taken evenly from the set.

    Returns:
        A row of 1 + `variants` samples for each of `images` images (fewer if there are not so many).

    Raises:
        DataError: The spec's training set cannot be used.
    """
    found = training_sources(spec)
    plain = ImageLoader(spec, found, training=True, augmented=False)
    changed = ImageLoader(spec, found, training=True, augmented=True)
    count = len(plain.index)
    numbers = np.unique(np.linspace(0, count - 1, min(images, count)).round().astype(np.int64))
    originals = _samples(plain, numbers, epochs=1)
    varied = _samples(changed, numbers, epochs=variants)
    return [[original, *varied[row :: len(numbers)]] for row, original in enumerate(originals)]


def _samples(loader: ImageLoader, numbers: np.ndarray, epochs: int) -> list[Sample]:
    """Each image once an epoch, epoch after epoch."""
    images, times = np.tile(numbers, epochs), np.repeat(np.arange(epochs), len(numbers))
    slots = tf.data.Dataset.from_tensor_slices(np.stack([images, times, images], axis=1))
    examples = slots.flat_map(loader.load).map(loader.prepare)
    return [to_sample(example, loader.settings) for example in examples]


def to_sample(example: Example, settings: ImageSettings) -> Sample:
    """One element of a batch as a picture, without padding."""
    height, width = example["size"].numpy()
    pixels = denormalise(example["images"][:height, :width], settings).numpy()
    valid = example["valid"].numpy()
    return Sample(
        np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels,
        example["boxes"].numpy()[valid],
        example["classes"].numpy()[valid],
    )
