"""Decodes and preprocesses images with Pillow and NumPy, for detectors that run without TensorFlow.

The pixels equal those of `preprocess`; the network input equals it up to float32 rounding. A test compares
both.
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from frcnn.data.conversion.stored_image import DEPTHS, MAX_BYTES, SIDEWAYS, used_depth
from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.errors import DataError
from frcnn.regular_file import read_regular

FORMATS = ("JPEG", "PNG")
# What Pillow raises for damaged, truncated and closed files.
DECODER_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
# Weights of red, green and blue in gray, times 2^15. As in TensorFlow, 0.299 and 0.587 are rounded down.
GRAY_WEIGHTS = (9797, 19234, 3737)
GRAY_SHIFT = 15


def decode(encoded: bytes, channels: int, name: str = "image") -> NDArray[np.uint8]:
    """Decodes a JPEG or PNG file.

    The EXIF orientation is not applied, since labels refer to the stored pixels.

    Args:
        encoded: Content of the file.
        channels: 3 for RGB, 1 for gray.
        name: Name of the image for messages.

    Returns:
        Pixels, uint8 `[h, w, channels]`.

    Raises:
        DataError: The content is neither JPEG nor PNG, or is truncated.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            if channels == 1 and image.format in ("JPEG", "MPO"):
                image.draft("L", image.size)  # use the brightness stored in the file
            return with_channels(pixels_of(image, channels), channels)
    except DECODER_ERRORS as error:
        reason = str(error) or type(error).__name__
        if not encoded or isinstance(error, UnidentifiedImageError):
            reason = "not a JPEG or PNG file"
        raise DataError(f"{name}: cannot be read as an image ({reason})") from error


def read(path: Path, channels: int) -> NDArray[np.uint8]:
    """Reads and decodes an image file.

    Args:
        path: JPEG or PNG file.
        channels: 3 for RGB, 1 for gray.

    Returns:
        Pixels, uint8 `[h, w, channels]`.

    Raises:
        DataError: The file is unreadable, too large, not a regular file, neither JPEG nor PNG, or truncated.
    """
    try:
        encoded = read_regular(path, MAX_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot be read as an image ({reason})") from error
    return decode(encoded, channels, str(path))


def pixels_of(image: Image.Image, channels: int = 3) -> NDArray[np.uint8]:
    """Returns the pixels of a Pillow image of any mode.

    Args:
        image: Image. Of a PNG file with colors of 16 bits that is already loaded, Pillow has the upper 8.
        channels: Number of channels that are needed; colors of 16 bits are converted to gray before they are
            reduced to 8, as in TensorFlow.

    Returns:
        Pixels, uint8, `[h, w, 3]` RGB, or `[h, w, 1]` for a gray image.
    """
    deep = np.asarray(image)[..., None] if image.mode.startswith("I;16") else _deep_values(image)
    if deep is not None:
        if deep.shape[-1] > channels:
            deep = _gray(deep, half=1 << GRAY_SHIFT - 1).astype(np.uint16)
        return (deep >> used_depth(int(deep.max(initial=0))) - DEPTHS[0]).astype(np.uint8)
    if image.mode in ("L", "LA", "1"):
        return np.asarray(image.convert("L"))[..., None]
    if isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")  # Pillow warns about a direct conversion, whose colors are the same
    return np.asarray(image.convert("RGB"))


def is_deep(image: Image.Image) -> bool:
    """Checks whether an image has 16 bits per channel, and all of them are known."""
    return image.mode.startswith("I;16") or _deep_layout(image) is not None


def _deep_layout(image: Image.Image) -> str | None:
    """Returns Pillow's name for the layout of a PNG file with colors of 16 bits that is not loaded yet."""
    tiles = getattr(image, "tile", None)
    layout = tiles[0][3] if tiles and image.format == "PNG" and getattr(image, "fp", None) else None
    return layout if layout in ("RGB;16B", "RGBA;16B", "LA;16B") else None


def _deep_values(image: Image.Image) -> NDArray[np.uint16] | None:
    """Returns all 16 bits of the colors of a PNG file, uint16 `[h, w, 1 or 3]`; `None` for other images.

    Pillow loads the upper 8 bits only. Read in the other order of bytes, they are the lower 8.
    """
    layout, stream = _deep_layout(image), getattr(image, "fp", None)
    if layout is None or stream is None:
        return None
    stream.seek(0)
    encoded = stream.read()
    if layout == "LA;16B":  # the bytes of gray and transparency, as they are stored
        stored = _read_as(encoded, "RGBA").astype(np.uint16)
        return np.asarray((stored[..., :1] << 8) + stored[..., 1:2], np.uint16)
    upper, lower = (_read_as(encoded, name)[..., :3] for name in (layout, layout.replace("16B", "16L")))
    return np.asarray((upper.astype(np.uint16) << 8) + lower, np.uint16)


def _read_as(encoded: bytes, layout: str) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(encoded), formats=("PNG",)) as image:
        image.tile = [image.tile[0]._replace(args=layout)]
        return np.asarray(image)


def with_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Converts pixels to 1 or 3 channels; gray is computed as in TensorFlow's decoder.

    Args:
        pixels: Pixels, uint8 `[h, w, 1 or 3]`.
        channels: Number of channels, 1 or 3.

    Returns:
        Pixels, uint8 `[h, w, channels]`.
    """
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    return _gray(pixels).astype(np.uint8)


def _gray(colors: NDArray[np.uint8] | NDArray[np.uint16], half: int = 0) -> NDArray[np.uint32]:
    """Returns brightness, `[h, w, 1]`; libpng rounds it for 16 bits (`half`), but not for 8."""
    wide = colors.astype(np.uint32)
    return np.asarray(wide @ np.asarray(GRAY_WEIGHTS, np.uint32) + half >> GRAY_SHIFT)[..., None]


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Applies an EXIF orientation, like `preprocess.decode_image`.

    Args:
        pixels: Stored pixels, uint8 `[h, w, C]`.
        orientation: EXIF orientation, 1 (none) to 8.

    Returns:
        Pixels as viewers show them; a view of the argument.
    """
    if orientation in SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return pixels[rows, columns]


def prepare(pixels: NDArray[np.uint8], settings: ImageSettings) -> NDArray[np.float32]:
    """Resizes and normalizes an image for the network, like `preprocess.prepare_image`.

    Args:
        pixels: Pixels, uint8 `[h, w, channels]`, RGB or gray.
        settings: Input format of the network.

    Returns:
        Preprocessed image, float32 `[H, W, channels]`.
    """
    return normalize(stretch(pixels, *settings.target_size(*pixels.shape[:2])), settings)


def stretch(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Resizes pixels bilinearly, with pixel centers at .5 and without antialiasing.

    Args:
        pixels: Pixels, uint8 `[h, w, C]`.
        height: Target height, px.
        width: Target width, px.

    Returns:
        Pixels, float32 `[height, width, C]`; the aspect ratio may change.
    """
    if pixels.shape[:2] == (height, width):
        return pixels.astype(np.float32)
    left, right, along = _neighbors(pixels.shape[1], width)
    top, bottom, down = _neighbors(pixels.shape[0], height)
    rows = pixels.astype(np.float32)
    start = rows[:, left]
    rows = start + (rows[:, right] - start) * along[:, None]
    upper = rows[top]
    return np.asarray(upper + (rows[bottom] - upper) * down[:, None, None], np.float32)


def normalize(image: NDArray[np.float32], settings: ImageSettings) -> NDArray[np.float32]:
    """Applies channel order, mean and scale.

    Args:
        image: Image, float32 `[..., C]`, RGB or gray, 0..255.
        settings: Input format of the network.

    Returns:
        Normalized image, float32 `[..., C]`.
    """
    if settings.order == "bgr":
        image = image[..., ::-1]
    mean, scale = np.asarray(settings.mean, np.float32), np.float32(settings.scale)
    return np.ascontiguousarray((image - mean) / scale, np.float32)


def _neighbors(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Returns lower neighbor, upper neighbor and distance from the lower one for each target pixel.

    Uses float32 and TensorFlow's order of operations for equal rounding.
    """
    scale = np.float32(source) / np.float32(target)
    place = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    before = np.floor(place)
    low = np.maximum(before, 0).astype(np.intp)
    high = np.minimum(np.ceil(place), source - 1).astype(np.intp)
    return low, high, (place - before).astype(np.float32)
