"""One image file on its way into a network, for inference and for calibration on a folder."""

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
    """A file that is no image; the message is the reason, without the file's name."""


@dataclasses.dataclass(frozen=True)
class LoadedImage:
    """An image file as a network reads it.

    Attributes:
        encoded: The file's bytes.
        pixels: float32 [H, W, C], network-ready.
        size: Height and width of the original image, once turned, px.
        orientation: EXIF orientation in the file.
        turned: EXIF orientation that was applied.
    """

    encoded: bytes
    pixels: np.ndarray
    size: tuple[int, int]
    orientation: int
    turned: int


def load_image(path: Path, settings: ImageSettings, *, apply_exif: bool = False) -> LoadedImage:
    """Reads and prepares one image, always resized.

    Args:
        path: The file.
        settings: What the network expects of an image.
        apply_exif: Whether to turn the image as viewers do.

    Raises:
        UnreadableImageError: It is missing, no regular file, too large, or no JPEG or PNG.
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
    """Returns the first line of a message of TensorFlow, without the names of nodes and ops."""
    plain = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]|name:\s*$", "", message).strip()
    return plain.splitlines()[0].rstrip(" :") if plain else "not an image that can be decoded"


def _orientation(encoded: bytes) -> int:
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            return orientation_of(image)
    except Exception:  # what is no image, the decoder will say
        return UPRIGHT
