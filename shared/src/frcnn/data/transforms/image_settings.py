"""Input format of the network, and batching of preprocessed images; does not need TensorFlow."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

# With dynamic shape, images are padded to a multiple of this, px, to limit the number of shapes.
SIZE_STEP = 64


@dataclasses.dataclass(frozen=True)
class ImageSettings:
    """Input format of the network.

    Attributes:
        height: Rows of the network input, px; 0 for dynamic shape.
        width: Columns of the network input, px; 0 for dynamic shape.
        channels: 3 (color) or 1 (gray).
        order: `rgb`, `bgr` or `l`.
        mean: Value to subtract from each channel, in the network's channel order, 0..255.
        scale: Divisor of the difference.
        auto_resize: Whether training images are resized to the input size; otherwise they are cropped or
            padded with zeros at the right and bottom.
        min_side: Length of the shorter side with dynamic shape, px; 0 for a fixed size.
        max_side: Maximum length of the longer side with dynamic shape, px; 0 for no limit.
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

    def differences(self, other: "ImageSettings") -> tuple[str, ...]:
        """Lists the values that change what the network sees, except sizes, where another input has others.

        Args:
            other: Input format to compare with.
        """
        fields = {
            "order": "image_channel_order",
            "mean": "image_channel_mean",
            "scale": "image_scaling_factor",
        }
        return tuple(
            f"{field} is {_shown(getattr(self, name))}, not {_shown(getattr(other, name))}"
            for name, field in fields.items()
            if getattr(self, name) != getattr(other, name)
        )

    @property
    def dynamic(self) -> bool:
        """Returns whether images keep their aspect ratio and have different sizes (dynamic shape)."""
        return self.min_side > 0

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Returns the size to which an image is resized.

        With dynamic shape, the shorter side becomes `min_side`, or less to keep the longer one within
        `max_side`.

        Args:
            height: Height of the image, px.
            width: Width of the image, px.

        Returns:
            Height and width of the network input, px.
        """
        if not self.dynamic:
            return self.height, self.width
        scale = self.min_side / min(height, width)
        if self.max_side:
            scale = min(scale, self.max_side / max(height, width))
        # Truncate like TAO, but tolerate rounding errors just below an integer.
        rows, columns = (max(1, math.floor(side * scale + 1e-6)) for side in (height, width))
        return rows, columns


def batch_of(
    images: Sequence[np.ndarray], settings: ImageSettings, count: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Stacks preprocessed images into a batch, with the same padding as the data pipeline.

    Args:
        images: Images from `prepare_image`, float32 `[H_i, W_i, C]` each.
        settings: Settings used to prepare the images.
        count: Minimum batch size; missing images are filled with zeros.

    Returns:
        Batch, float32 `[B, H, W, C]`, and the sizes (height, width) of the images, int32 `[B, 2]`.
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


def _shown(value: str | float | tuple[float, ...]) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(f'{each:g}' for each in value)})"
    return value if isinstance(value, str) else f"{value:g}"
