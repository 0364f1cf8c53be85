"""Reads images in any form: path, URI, bytes of a file, Pillow image or array."""

import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from frcnn.data.transforms import image_arrays
from frcnn.errors import DataError, UsageError
from frcnn.storage.address import is_remote

# `np.generic`, like the annotations of OpenCV's functions; the data type is checked at run time.
ImageLike: TypeAlias = NDArray[np.generic] | PIL.Image.Image | bytes | str | os.PathLike[str]

EXPECTED = "expected uint8 [H, W, 3] in RGB, or [H, W] in gray"
KINDS = "a path, the bytes of a JPEG or PNG file, a PIL image or a NumPy array"


def pixels_of_image(image: ImageLike, channels: int) -> tuple[NDArray[np.uint8], str | None]:
    """Returns the pixels of an image in any form.

    Args:
        image: Image. Its EXIF orientation is not applied.
        channels: Number of channels: 3 for RGB, 1 for gray; the pixels are converted if necessary.

    Returns:
        Tuple of the pixels, uint8 `[H, W, channels]`, and the path or URI of the image, or None.

    Raises:
        UsageError: The array has another data type or shape, or the object is not an image.
        DataError: The file or the bytes are not a readable image.
        StoreError: The object on S3 cannot be read.
    """
    if isinstance(image, np.ndarray):
        return image_arrays.with_channels(_checked(image), channels), None
    if isinstance(image, PIL.Image.Image):
        return image_arrays.with_channels(_decoded(image, channels), channels), None
    if isinstance(image, bytes | bytearray | memoryview):
        return image_arrays.decode(bytes(image), channels), None
    if isinstance(image, str | os.PathLike):
        name = os.fsdecode(image)
        if is_remote(name):
            return image_arrays.decode(_object(name), channels, name), name
        return image_arrays.read(Path(name), channels), name
    raise UsageError(f"image of type {type(image).__name__}: expected {KINDS}", argument="image")


def _decoded(image: PIL.Image.Image, channels: int) -> NDArray[np.uint8]:
    """Returns the pixels of a PIL image, which may still have to be read from its file."""
    if image.mode in ("I", "F"):
        raise UsageError(
            f"PIL image of mode {image.mode}: the range of its values is unknown; expected mode RGB or L",
            argument="image",
        )
    try:
        return image_arrays.pixels_of(image, channels)
    except image_arrays.DECODER_ERRORS as error:
        name = getattr(image, "filename", "") or "image"
        raise DataError(f"{os.fsdecode(name)}: cannot be read as an image ({error})") from error


def _checked(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Checks an array of pixels; returns it as `[H, W, 1 or 3]`."""
    shape = list(array.shape)
    if array.dtype != np.uint8:
        hint = ""
        if array.dtype.kind == "f":
            hint = "; convert values in 0..1 with (image * 255).round().astype(np.uint8)"
        raise UsageError(f"image of {array.dtype} {shape}: {EXPECTED}{hint}", argument="image")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3) or 0 in array.shape:
        raise UsageError(f"image of uint8 {shape}: {EXPECTED}{_hint(shape)}", argument="image")
    return array


def _hint(shape: list[int]) -> str:
    if len(shape) == 4:
        return "; use stream() for several images"
    if len(shape) == 3 and shape[-1] == 4:
        return "; drop the alpha channel with image[..., :3]"
    if len(shape) == 3 and shape[0] in (1, 3):
        return "; move the channels to the end with image.transpose(1, 2, 0)"
    return ""


def _object(uri: str) -> bytes:
    from frcnn.storage import Store

    return Store.from_environment().read(uri)
