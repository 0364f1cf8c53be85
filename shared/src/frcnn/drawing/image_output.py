"""Writes images to files; detects a full disk."""

import io
from pathlib import Path
from typing import Any

import PIL.Image


def save_image(picture: PIL.Image.Image, path: Path, **options: Any) -> None:
    """Encodes an image by the suffix of its file, and writes the file.

    Pillow's own `save` does not notice when a full disk truncates the file.

    Args:
        picture: Image.
        path: File to write.
        options: Options of the format, as in `PIL.Image.Image.save`.

    Raises:
        OSError: The disk is full, or the file cannot be written.
    """
    encoded = io.BytesIO()
    picture.save(encoded, PIL.Image.registered_extensions()[path.suffix.lower()], **options)
    path.write_bytes(encoded.getvalue())
