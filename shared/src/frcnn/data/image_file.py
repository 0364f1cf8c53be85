"""Loads single image files for inference and for calibration on a folder."""

import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import tensorflow as tf

from frcnn.data.conversion.stored_image import MAX_BYTES, UPRIGHT, StoredImage, header_of
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
        UnreadableImageError: The file is missing, too large, not a regular file, truncated, or neither JPEG
            nor PNG; or it has too many pixels.
    """
    try:
        encoded = read_regular(path, MAX_BYTES)
        orientation = _header(encoded).orientation
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


def _header(encoded: bytes) -> StoredImage:
    """Reads the properties of an image by the same rules as a conversion.

    Raises:
        UnreadableImageError: The content is neither JPEG nor PNG, is truncated, or has too many pixels.
    """
    found = header_of(io.BytesIO(encoded), count_bits=False)
    if isinstance(found, str):
        raise UnreadableImageError(found)
    return found
