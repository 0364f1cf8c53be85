"""Opens images of a survey, to compute colors, thumbnails and hashes."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from frcnn.data.conversion.coco.reader import CocoReader
from frcnn.data.conversion.kitti.reader import KittiReader
from frcnn.data.conversion.stored_image import FORMATS, MAX_BYTES, UPRIGHT, orientation_of
from frcnn.data.transforms.image_arrays import is_deep, pixels_of, upright, with_channels
from frcnn.regular_file import read_regular
from frcnn.survey.record_files import RecordReader
from frcnn.survey.tables import Place, Tables

# Images to sample for mean colors, and the size to which they are reduced, px.
_SAMPLED = 64
_REDUCED = 128
# Values for images that cannot be sampled: those of ImageNet.
_USUAL_MEAN, _USUAL_DEVIATION = (123.68, 116.779, 103.939), 58.0
_MIN_DEVIATION = 16.0


def content_of(place: Place) -> bytes | None:
    """Reads the content of an image file.

    Args:
        place: Place of the image.

    Returns:
        Content; `None` if the file cannot be read or a record has none.
    """
    reader = place.source.reader
    try:
        if isinstance(reader, RecordReader):
            return reader.content(place.job)
        return read_regular(reader.path(place.job), MAX_BYTES)
    except (OSError, ValueError):
        return None


def opened(content: bytes, side: int | None = None) -> Image.Image | None:
    """Decodes an image.

    Args:
        content: Content of the file.
        side: Required size, px: a JPEG is then decoded at a fraction of its size, which is faster.

    Returns:
        Image in the size of the file, or smaller with `side`; `None` if it cannot be decoded. Of 16 bits per
        channel, it has the upper 8 of those in use.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        if side is not None:
            image.draft("RGB", (side, side))
        if is_deep(image):
            return _with_8_bits(image)
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return image


def _with_8_bits(image: Image.Image) -> Image.Image:
    pixels = pixels_of(image)
    reduced = Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])
    reduced.info = image.info
    return reduced


def rgb_pixels(place: Place) -> np.ndarray | None:
    """Reads the pixels of an image that its labels refer to, uint8 `[H, W, 3]`; `None` if that fails.

    Args:
        place: Place of the image.
    """
    content = content_of(place)
    image = None if content is None else opened(content)
    if image is None:
        return None
    return upright(with_channels(pixels_of(image), 3), _applied_orientation(place, image))


def _applied_orientation(place: Place, image: Image.Image) -> int:
    """Returns the EXIF orientation that the labels of an image assume to be applied."""
    reader = place.source.reader
    if isinstance(reader, RecordReader):
        return reader.orientation(place.job)
    applied = isinstance(reader, KittiReader | CocoReader) and reader.apply_exif
    return orientation_of(image) if applied else UPRIGHT


def mean_colors(
    tables: Tables, images: Sequence[int] | np.ndarray
) -> tuple[tuple[float, float, float], float]:
    """Computes mean and deviation of the colors of a sample of images.

    Args:
        tables: Survey of the data set.
        images: Indices of the images to sample from, at least one.

    Returns:
        Mean of red, green and blue, and the standard deviation of all channels, 0..255.
    """
    step = max(1, len(images) // _SAMPLED)
    parts = []
    for number in list(images)[::step][:_SAMPLED]:
        content = content_of(tables.place(int(number)))
        image = None if content is None else opened(content, _REDUCED)
        if image is not None:
            small = image.resize((_REDUCED, _REDUCED), Image.Resampling.BOX) if image.mode == "RGB" else image
            parts.append(with_channels(pixels_of(small), 3).reshape(-1, 3).astype(np.float64))
    if not parts:
        return _USUAL_MEAN, _USUAL_DEVIATION
    # Each image counts equally, whatever its size.
    mean = np.mean([part.mean(axis=0) for part in parts], axis=0)
    variance = np.mean([((part - mean) ** 2).mean() for part in parts])
    # A spec's means lie between 0 and 255, exclusively.
    red, green, blue = (round(float(np.clip(value, 1.0, 254.0)), 1) for value in mean)
    return (red, green, blue), round(max(_MIN_DEVIATION, float(variance) ** 0.5), 1)
