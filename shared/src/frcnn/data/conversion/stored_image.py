"""Image files as they are stored: size and format from the header, without decoding pixels."""

import dataclasses
import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from frcnn.data.conversion.faults import Fault, FaultKind, Remark
from frcnn.regular_file import NotRegularError, open_regular

# What the training pipeline can decode; asking for these only also spares the other plugins.
FORMATS = ("JPEG", "PNG")
# A JPEG of several pictures, as phones and drones write it, is a JPEG to decoders: they read the first one.
_SAME_AS = {"MPO": "JPEG"}
# A whole file ends with one of these; some writers add padding after it.
END_MARKS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
TAIL_BYTES = 64
# Larger files are no pictures to train on; embedding one would take as much memory.
MOST_BYTES = 256 << 20

UPRIGHT = 1
# EXIF orientations under which a picture is shown with height and width exchanged.
SIDEWAYS = frozenset({5, 6, 7, 8})
_ORIENTATION_TAG = 0x0112
# Where the bit depth is in a PNG file, and how many bits a channel can be scaled from
# (`frcnn.data.transforms.preprocess.decode_image`).
PNG_DEPTH_AT = 24
DEPTHS = (8, 10, 12, 14, 16)


@dataclasses.dataclass(frozen=True, slots=True)
class StoredImage:
    """An image file's properties.

    Attributes:
        height: Stored rows, px; EXIF orientation not applied.
        width: Stored columns, px.
        encoded: The file's bytes, where asked for.
        image_format: `jpeg` or `png` with `encoded`, empty otherwise.
        orientation: EXIF orientation, 1 (upright) to 8.
        unused_bits: Of the 16 bits a channel of a PNG file, those that no pixel uses.
    """

    height: int
    width: int
    encoded: bytes | None = None
    image_format: str = ""
    orientation: int = UPRIGHT
    unused_bits: int = 0

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width of the picture as viewers show it, EXIF orientation applied."""
        return (self.width, self.height) if self.orientation in SIDEWAYS else (self.height, self.width)


def read_image(path: Path, *, embed: bool = False) -> StoredImage | Fault:
    """Reads an image file's size, with its bytes where `embed` is set.

    Takes about 0.1 ms: the header and the last bytes are all that is read. A file that does not
    end as its format should is decoded to see whether it is cut off, and so is a PNG of 16 bits a channel,
    to see how many of them it uses.

    Args:
        path: The file.
        embed: Whether to return the file's bytes.

    Returns:
        The image, or the fault of a file that is missing, cut off, no regular file, or neither JPEG nor PNG.
    """
    try:
        with open_regular(path) as stream, warnings.catch_warnings():
            # Of Pillow, about large pictures and damaged EXIF; what matters is a fault.
            warnings.simplefilter("ignore")
            found = _header(stream)
            if not embed:
                return dataclasses.replace(found, image_format="")
            stream.seek(0)
            content = stream.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                return Fault(FaultKind.BROKEN_IMAGE, str(path), f"larger than {MOST_BYTES >> 20} MiB")
            return dataclasses.replace(found, encoded=content)
    except FileNotFoundError:
        reason = "link to nowhere" if path.is_symlink() else "no such file"
        return Fault(FaultKind.NO_IMAGE, str(path), reason)
    except NotRegularError as error:
        return Fault(FaultKind.NOT_REGULAR, str(path), str(error.strerror))
    except UnidentifiedImageError:
        return Fault(FaultKind.BROKEN_IMAGE, str(path), "neither JPEG nor PNG, or empty")
    except Image.DecompressionBombError:
        return Fault(FaultKind.BROKEN_IMAGE, str(path), "more pixels than an image may have")
    except OSError as error:
        return Fault(FaultKind.BROKEN_IMAGE, str(path), error.strerror or str(error))
    except (SyntaxError, ValueError) as error:
        return Fault(FaultKind.BROKEN_IMAGE, str(path), f"damaged header: {error}")


def remarks_on(image: StoredImage) -> frozenset[Remark]:
    """Names the properties of an image that its user should know of."""
    found = {Remark.TURNED: image.orientation != UPRIGHT, Remark.UNUSED_BITS: image.unused_bits > 0}
    return frozenset(remark for remark, holds in found.items() if holds)


def used_depth(largest: int) -> int:
    """Returns the usual number of bits a channel that holds values up to `largest`."""
    return next(depth for depth in DEPTHS if largest < 1 << depth)


def orientation_of(image: Image.Image) -> int:
    """Reads the EXIF orientation of an opened image, without decoding it; 1 if it has none."""
    if "exif" not in image.info:
        return UPRIGHT
    try:
        found = image.getexif().get(_ORIENTATION_TAG, UPRIGHT)
    except Exception:  # there is nothing that Pillow might not raise about damaged EXIF
        return UPRIGHT
    return found if isinstance(found, int) and UPRIGHT <= found <= 8 else UPRIGHT


def _header(stream: BinaryIO) -> StoredImage:
    with Image.open(stream, formats=FORMATS) as image:
        (width, height), kind = image.size, image.format or ""
        kind = _SAME_AS.get(kind, kind)
        orientation = orientation_of(image)
        unused = 0
        if kind == "PNG" and _depth(stream) == 16:
            unused = 16 - _depth_of_pixels(image)
        elif not _ends_well(stream, kind):
            image.load()
    if min(width, height) < 1:
        raise ValueError(f"size {width}x{height}")
    return StoredImage(height, width, image_format=kind.lower(), orientation=orientation, unused_bits=unused)


def _depth(stream: BinaryIO) -> int:
    position = stream.tell()
    stream.seek(PNG_DEPTH_AT)
    depth = stream.read(1)
    stream.seek(position)
    return depth[0] if depth else 0


def _depth_of_pixels(image: Image.Image) -> int:
    """Bits a channel that the pixels of a 16-bit PNG use, its transparency left out."""
    bands = image.getextrema()
    if not isinstance(bands[0], tuple):
        return used_depth(int(bands[1]))
    # Pillow keeps the upper 8 bits of several channels.
    colours = [high for _, high in bands[: len(bands) - image.mode.endswith(("A", "a"))]]
    return used_depth(256 * int(max(colours)) + 255)


def _ends_well(stream: BinaryIO, kind: str) -> bool:
    position = stream.tell()
    stream.seek(0, 2)
    stream.seek(max(0, stream.tell() - TAIL_BYTES))
    tail = stream.read()
    stream.seek(position)
    return END_MARKS[kind] in tail
