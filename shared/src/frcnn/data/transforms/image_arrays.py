"""Images as NumPy arrays: decoded by Pillow, and prepared for the network as `preprocess` does by TensorFlow.

For detectors that run where there is no TensorFlow. Both ways give the same pixels and, to float32's last
digits, the same network input; a test holds them together.
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from frcnn.data.conversion.stored_image import DEPTHS, used_depth
from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.errors import DataError

FORMATS = ("JPEG", "PNG")
# Weights of red, green and blue in grey, of 2^15: 0.299 and 0.587 rounded down, as in TensorFlow's decoder.
_GREY_WEIGHTS = (9797, 19234, 3737)
_GREY_SHIFT = 15


def decode(encoded: bytes, channels: int, name: str = "image") -> NDArray[np.uint8]:
    """Decodes a JPEG or PNG file.

    An EXIF orientation is not applied, since labels are drawn on the stored pixels.

    Args:
        encoded: The file's bytes.
        channels: 3 for RGB, 1 for grey.
        name: What messages call the image.

    Returns:
        Pixels [h, w, channels].

    Raises:
        DataError: The bytes are not an image of either format, or are cut off.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            if channels == 1 and image.format == "JPEG":
                image.draft("L", image.size)  # the file's own brightness, not one computed from colors
            return with_channels(pixels_of(image), channels)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error) or type(error).__name__
        if not encoded or isinstance(error, UnidentifiedImageError):
            reason = "not a JPEG or PNG file"
        raise DataError(f"{name}: cannot be read as an image ({reason})") from error


def read(path: Path, channels: int) -> NDArray[np.uint8]:
    """Reads and decodes an image file; arguments, result and errors as `decode`."""
    try:
        encoded = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: cannot be read as an image ({reason})") from error
    return decode(encoded, channels, str(path))


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """Returns the pixels of a Pillow image of any mode: uint8 [h, w, 3] RGB, or [h, w, 1] of a grey one."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        return (values >> used_depth(int(values.max(initial=0))) - DEPTHS[0]).astype(np.uint8)[..., None]
    if image.mode in ("L", "LA", "1"):
        return np.asarray(image.convert("L"))[..., None]
    return np.asarray(image.convert("RGB"))


def with_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Returns pixels [h, w, 1 or 3] with 1 or 3 channels, grey as TensorFlow's decoder computes it."""
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    wide = pixels.astype(np.uint32)
    grey = sum(wide[..., index] * weight for index, weight in enumerate(_GREY_WEIGHTS))
    return np.asarray(grey >> _GREY_SHIFT, np.uint8)[..., None]


def prepare(pixels: NDArray[np.uint8], settings: ImageSettings) -> NDArray[np.float32]:
    """Makes the network's input of an image, always resized, as `preprocess.prepare_image` does.

    Args:
        pixels: [h, w, channels], RGB or grey; channels as in the settings.
        settings: What the network expects.

    Returns:
        Network-ready image [H, W, channels].
    """
    return normalize(stretch(pixels, *settings.target_size(*pixels.shape[:2])), settings)


def stretch(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Stretches pixels [h, w, C] to [height, width, C]: bilinear, pixel centers at .5, not antialiased."""
    if pixels.shape[:2] == (height, width):
        return pixels.astype(np.float32)
    left, right, along = _neighbours(pixels.shape[1], width)
    top, bottom, down = _neighbours(pixels.shape[0], height)
    rows = pixels.astype(np.float32)
    start = rows[:, left]
    rows = start + (rows[:, right] - start) * along[:, None]
    upper = rows[top]
    return np.asarray(upper + (rows[bottom] - upper) * down[:, None, None], np.float32)


def normalize(image: NDArray[np.float32], settings: ImageSettings) -> NDArray[np.float32]:
    """Applies channel order, mean and scale to an image [..., C], RGB or grey, 0..255."""
    if settings.order == "bgr":
        image = image[..., ::-1]
    mean, scale = np.asarray(settings.mean, np.float32), np.float32(settings.scale)
    return np.ascontiguousarray((image - mean) / scale, np.float32)


def _neighbours(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Where each target pixel lies among the source's: the pixel before, the one after, and how far between.

    In float32 and in TensorFlow's order of operations, so that both round alike.
    """
    scale = np.float32(source) / np.float32(target)
    place = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    before = np.floor(place)
    low = np.maximum(before, 0).astype(np.intp)
    high = np.minimum(np.ceil(place), source - 1).astype(np.intp)
    return low, high, (place - before).astype(np.float32)
