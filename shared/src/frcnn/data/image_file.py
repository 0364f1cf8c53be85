"""Loads single image files for inference and for calibration on a folder."""

import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from frcnn.data.conversion.stored_image import FORMATS, MOST_BYTES, UPRIGHT, orientation_of
from frcnn.data.transforms.preprocess import ImageSettings, prepare_image
from frcnn.regular_file import read_regular


class UnreadableImageError(Exception):
    """Unreadable image file; the message is the reason, without the file name."""


@dataclasses.dataclass(frozen=True)
class LoadedImage:
    """A preprocessed image file.

    Attributes:
        encoded: Content of the file.
        pixels: Preprocessed image, float32 `[H, W, C]`.
        size: Original height and width in pixels, after applying `turned`.
        orientation: EXIF orientation stored in the file.
        turned: EXIF orientation that was applied.
    """

    encoded: bytes
    pixels: np.ndarray
    size: tuple[int, int]
    orientation: int
    turned: int


def load_image(path: Path, settings: ImageSettings, *, apply_exif: bool = False) -> LoadedImage:
    """Reads and preprocesses one image; it is always resized.

    Args:
        path: Image file.
        settings: Input format of the network.
        apply_exif: Whether to apply the EXIF orientation, as viewers do.

    Returns:
        The preprocessed image.

    Raises:
        UnreadableImageError: The file is missing, too large, not a regular file, or neither JPEG nor PNG.
    """
    try:
        encoded = read_regular(path, MOST_BYTES)
        orientation = _orientation(encoded)
        turned = orientation if apply_exif else UPRIGHT
        with tf.device("CPU"):
            pixels, size = prepare_image(tf.constant(encoded), settings, turned)
    except OSError as error:
        raise UnreadableImageError(error.strerror or str(error)) from error
    except tf.errors.OpError as error:
        raise UnreadableImageError(plain_reason(error.message)) from error
    height, width = size.numpy().tolist()
    return LoadedImage(encoded, pixels.numpy(), (height, width), orientation, turned)


def plain_reason(message: str) -> str:
    """Returns the first line of a TensorFlow error message, without names of nodes and ops."""
    plain = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]|name:\s*$", "", message).strip()
    return plain.splitlines()[0].rstrip(" :") if plain else "not an image that can be decoded"


def _orientation(encoded: bytes) -> int:
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            return orientation_of(image)
    except Exception:  # the decoder reports files that are not images
        return UPRIGHT
