"""What the network expects of an image, and images put together as a batch; no TensorFlow here."""

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

# Images of their own sizes are padded to a multiple of this, px, so that few shapes occur.
SIZE_STEP = 64


@dataclasses.dataclass(frozen=True)
class ImageSettings:
    """What the network expects of an image.

    Attributes:
        height: Rows of the network input, px; 0 if each image has its own size.
        width: Columns of the network input, px; 0 likewise.
        channels: 3 (colour) or 1 (grey).
        order: `rgb`, `bgr` or `l`.
        mean: Subtracted per channel, in the order of the network's channels; scale 0..255.
        scale: What the difference is divided by.
        auto_resize: Training images are stretched to the input size; otherwise they are padded
            with zeros at the right and bottom, or cropped there.
        min_side: Where each image has its own size: what its shorter side becomes, px.
        max_side: And what its longer side may become at most, px; 0 for no limit.
    """

    height: int
    width: int
    channels: int
    order: str
    mean: tuple[float, ...]
    scale: float
    auto_resize: bool
    min_side: int = 0
    max_side: int = 0

    @classmethod
    def from_spec(cls, spec: "Experiment") -> "ImageSettings":
        """The settings a checked spec asks for."""
        image = spec.model_config.input_image_config
        preprocessing = spec.augmentation_config.preprocessing
        size = image.size_height_width
        shortest = image.size_min.min if image.size_min is not None else 0
        grey = image.image_type.name == "GRAY_SCALE"
        order = "l" if grey else ("bgr" if image.image_channel_order.lower() == "bgr" else "rgb")
        return cls(
            height=size.height if size is not None else 0,
            width=size.width if size is not None else 0,
            channels=1 if grey else 3,
            order=order,
            mean=tuple(float(image.image_channel_mean[letter]) for letter in order),
            scale=float(image.image_scaling_factor),
            auto_resize=bool(preprocessing.enable_auto_resize),
            min_side=shortest,
            max_side=preprocessing.output_image_max if shortest else 0,
        )

    @property
    def dynamic(self) -> bool:
        """Whether each image keeps its aspect and has its own size."""
        return self.min_side > 0

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Returns height and width, px, at which the network sees an image of the given size.

        Where each image keeps its aspect, its shorter side becomes `min_side`, or less if the longer one
        would exceed `max_side`.
        """
        if not self.dynamic:
            return self.height, self.width
        scale = self.min_side / min(height, width)
        if self.max_side:
            scale = min(scale, self.max_side / max(height, width))
        # Truncated as in the reference, but never for a rounding error.
        rows, columns = (max(1, math.floor(side * scale + 1e-6)) for side in (height, width))
        return rows, columns


def batch_of(
    images: Sequence[np.ndarray], settings: ImageSettings, count: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Images from `prepare_image` as one batch, padded as the data pipeline pads.

    Args:
        images: [H_i, W_i, C] each.
        settings: They were prepared with.
        count: B, if larger than their number: the batch is filled up with empty images.

    Returns:
        float32 [B, H, W, C], and the sizes of the images, int32 [B, 2].
    """
    sides = np.asarray([image.shape[:2] for image in images], np.int32)
    step = SIZE_STEP if settings.dynamic else 1
    height, width = -(-sides.max(axis=0) // step) * step
    batch = np.zeros((max(count, len(images)), height, width, settings.channels), np.float32)
    for index, image in enumerate(images):
        batch[index, : image.shape[0], : image.shape[1]] = image
    sizes = np.full((len(batch), 2), (height, width), np.int32)
    sizes[: len(images)] = sides
    return batch, sizes
