"""Small files whose headers promise more pixels than any reader should decode."""

import io
import struct
import zlib

from PIL import Image


def large_png(side: int = 20_000) -> bytes:
    """A PNG file with the header of an image of one bit per pixel, and one row of it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    row = zlib.compress(bytes(1 + (side + 7) // 8))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", row) + chunk(b"IEND", b"")


def large_jpeg(side: int = 60_000) -> bytes:
    """A JPEG file of 8x8 pixels whose header says that it has more."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG")
    content = bytearray(stream.getvalue())
    start = content.index(b"\xff\xc0") + 5  # after marker, length and precision of the frame header
    content[start : start + 4] = struct.pack(">HH", side, side)
    return bytes(content)
