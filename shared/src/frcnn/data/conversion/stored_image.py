"""Reads size and format of image files from their headers, mostly without decoding pixels."""

import dataclasses
import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from frcnn.data.conversion.faults import DataIssue, IssueKind, Remark
from frcnn.regular_file import NotRegularError, open_regular

# Formats that the training pipeline can decode; naming them keeps Pillow from loading other plugins.
FORMATS = ("JPEG", "PNG")
# MPO, a JPEG of several images that phones and drones write: decoders read the first one.
_SAME_AS = {"MPO": "JPEG"}
# A complete file ends with its mark; some writers add padding after it.
END_MARKS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
TAIL_BYTES = 64
# Size limit of image files, which embedding reads into memory, and that of decoded images (that of Pillow).
MAX_BYTES = 256 << 20
MAX_PIXELS = 178_956_970

_HEADER_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
UPRIGHT = 1
# EXIF orientations that swap height and width.
SIDEWAYS = frozenset({5, 6, 7, 8})
_ORIENTATION_TAG = 0x0112
# Offsets of width, height and bit depth in a PNG file, and the bit depths that are scaled to 8 bits
# (`frcnn.data.transforms.preprocess.decode_image`).
PNG_SIZE_AT, PNG_DEPTH_AT = 16, 24
DEPTHS = (8, 10, 12, 14, 16)


@dataclasses.dataclass(frozen=True, slots=True)
class StoredImage:
    """Properties of an image file.

    Attributes:
        height: Stored rows, px; the EXIF orientation is not applied.
        width: Stored columns, px.
        encoded: Content of the file, if requested.
        image_format: `jpeg` or `png`; empty if it is not known.
        orientation: EXIF orientation, 1 (upright) to 8.
        unused_bits: Number of the 16 bits per channel of a PNG file that no pixel uses.
        channels: Number of channels: 1 (gray) to 4 (color and transparency); 0 if it is not known.
        file_bytes: Size of the file, bytes; 0 if it is not known.
    """

    height: int
    width: int
    encoded: bytes | None = None
    image_format: str = ""
    orientation: int = UPRIGHT
    unused_bits: int = 0
    channels: int = 0
    file_bytes: int = 0

    @property
    def embedded_format(self) -> str:
        """Format of `encoded` as a record states it; empty if the record does not contain the image."""
        return "" if self.encoded is None else self.image_format

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width after applying the EXIF orientation, as viewers do."""
        return (self.width, self.height) if self.orientation in SIDEWAYS else (self.height, self.width)


def read_image(path: str | Path, *, embed: bool = False) -> StoredImage | DataIssue:
    """Reads the size of an image file, and its content if requested.

    Takes about 0.1 ms, since only the header and the last bytes are read. Two kinds of files are decoded:
    those without the end mark of their format, to detect truncation, and PNG files with 16 bits per channel,
    to find out how many bits they use.

    Args:
        path: Image file.
        embed: Whether to return the content.

    Returns:
        The image, or an issue if the file is missing, truncated, too large to embed, not a regular file, or
        neither JPEG nor PNG.
    """
    try:
        with open_regular(path) as stream, warnings.catch_warnings():
            # Pillow warns about large images and damaged EXIF; real problems are returned as issues.
            warnings.simplefilter("ignore")
            found = read_header(stream)
            if not embed:
                return found
            stream.seek(0)
            content = stream.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                return DataIssue(IssueKind.BROKEN_IMAGE, str(path), f"larger than {MAX_BYTES >> 20} MiB")
            return dataclasses.replace(found, encoded=content)
    except FileNotFoundError:
        reason = "broken link" if Path(path).is_symlink() else "no such file"
        return DataIssue(IssueKind.NO_IMAGE, str(path), reason)
    except NotRegularError as error:
        return DataIssue(IssueKind.NOT_REGULAR, str(path), str(error.strerror))
    except _HEADER_ERRORS as error:
        return DataIssue(IssueKind.BROKEN_IMAGE, str(path), _reason(error))


def header_of(stream: BinaryIO, *, count_bits: bool = True) -> StoredImage | str:
    """Reads the properties of an open image file like `read_header`; returns the reason if that fails.

    Args:
        stream: Image file, opened for reading at any position.
        count_bits: See `read_header`.

    Returns:
        The properties, or the reason why the file cannot be used.
    """
    try:
        return read_header(stream, count_bits=count_bits)
    except _HEADER_ERRORS as error:
        return _reason(error)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "neither JPEG nor PNG, or empty"
    if isinstance(error, Image.DecompressionBombError):
        return "too many pixels"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"damaged header: {error}"


def remarks_on(image: StoredImage, *, outside: bool = False) -> frozenset[Remark]:
    """Returns the remarks that apply to an image; `outside`: boxes are partly outside of it."""
    if image.orientation == UPRIGHT and not image.unused_bits and not outside:
        return frozenset()
    found = {
        Remark.TURNED: image.orientation != UPRIGHT,
        Remark.UNUSED_BITS: image.unused_bits > 0,
        Remark.BOXES_OUTSIDE: outside,
    }
    return frozenset(remark for remark, holds in found.items() if holds)


def used_depth(largest: int) -> int:
    """Returns the smallest usual bit depth for values up to `largest`."""
    return next(depth for depth in DEPTHS if largest < 1 << depth)


def orientation_of(image: Image.Image) -> int:
    """Returns the EXIF orientation of an opened image without decoding it; 1 if there is none."""
    if "exif" not in image.info:
        return UPRIGHT
    try:
        found = image.getexif().get(_ORIENTATION_TAG, UPRIGHT)
    except Exception:  # Pillow raises many kinds of exceptions for damaged EXIF
        return UPRIGHT
    return found if isinstance(found, int) and UPRIGHT <= found <= 8 else UPRIGHT


def read_header(stream: BinaryIO, *, count_bits: bool = True) -> StoredImage:
    """Reads the properties of an open image file; `encoded` is not set.

    Args:
        stream: Image file, opened for reading at any position.
        count_bits: Whether to decode PNG files with 16 bits per channel for `unused_bits`, otherwise 0.

    Returns:
        The properties.

    Raises:
        OSError: The content is neither JPEG nor PNG, or is truncated.
        ValueError: The header is damaged.
        SyntaxError: The header is damaged; the class is that of Pillow's readers.
        Image.DecompressionBombError: The image has too many pixels.
    """
    with Image.open(stream, formats=FORMATS) as image:
        (width, height), kind = image.size, image.format or ""
        kind = _SAME_AS.get(kind, kind)
        orientation, channels = orientation_of(image), _channels(image)
        unused = 0
        if count_bits and kind == "PNG" and _depth(stream) == 16:
            unused = 16 - _depth_of_pixels(image)
        elif not _ends_well(stream, kind):
            image.load()
    if min(width, height) < 1:
        raise ValueError(f"size {width}x{height}")
    return StoredImage(
        height,
        width,
        image_format=kind.lower(),
        orientation=orientation,
        unused_bits=unused,
        channels=channels,
        file_bytes=stream.seek(0, 2),
    )


def _channels(image: Image.Image) -> int:
    """Returns the number of channels; an image with a palette has those of its colors."""
    return 3 if image.mode == "P" else len(image.getbands())


def _depth(stream: BinaryIO) -> int:
    position = stream.tell()
    stream.seek(PNG_DEPTH_AT)
    depth = stream.read(1)
    stream.seek(position)
    return depth[0] if depth else 0


def _depth_of_pixels(image: Image.Image) -> int:
    """Returns the bits per channel that the pixels of a 16-bit PNG use, ignoring transparency."""
    bands = image.getextrema()
    if not isinstance(bands[0], tuple):
        return used_depth(int(bands[1]))
    # Pillow reads images of several channels with the upper 8 bits only.
    colors = [high for _, high in bands[: len(bands) - image.mode.endswith(("A", "a"))]]
    return used_depth(256 * int(max(colors)) + 255)


def _ends_well(stream: BinaryIO, kind: str) -> bool:
    position = stream.tell()
    stream.seek(0, 2)
    stream.seek(max(0, stream.tell() - TAIL_BYTES))
    tail = stream.read()
    stream.seek(position)
    return END_MARKS[kind] in tail
