import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from frcnn.data.conversion import stored_image
from frcnn.data.conversion.faults import DataIssue, IssueKind, Remark
from frcnn.data.conversion.stored_image import StoredImage, read_image, remarks_on


def stored(path, **others):
    """A color image of 70 x 40 in this file."""
    kind = "png" if path.read_bytes().startswith(b"\x89PNG") else "jpeg"
    return StoredImage(40, 70, channels=3, file_bytes=path.stat().st_size, image_format=kind, **others)


def _encoded(kind, size=(70, 40), **options):
    stream = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_size_is_height_and_width_and_bytes_are_the_files_own(tmp_path, kind):
    path = tmp_path / "image"
    path.write_bytes(_encoded(kind))
    assert read_image(path) == stored(path)
    assert read_image(path, embed=True) == stored(path, encoded=path.read_bytes())


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_stored_pixels_and_the_orientation_is_named(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned"
    path.write_bytes(_encoded(kind, exif=exif))
    found = read_image(path)
    assert found == stored(path, orientation=orientation)
    with Image.open(path) as opened:
        assert found.upright_size == ImageOps.exif_transpose(opened).size[::-1]
    assert (Remark.TURNED in remarks_on(found)) == (orientation != 1)


def test_damaged_exif_is_no_fault_and_no_orientation(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(_encoded("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12"))
    assert read_image(path) == stored(path)


def test_a_jpeg_of_several_pictures_is_its_first_one(tmp_path):
    path = tmp_path / "drone.jpg"
    first, second = (Image.new("RGB", size, (200, 10, 10)) for size in ((70, 40), (20, 10)))
    first.save(path, "MPO", save_all=True, append_images=[second])
    with Image.open(path) as opened:
        assert opened.format == "MPO"
    found = read_image(path, embed=True)
    assert (found.height, found.width, found.image_format) == (40, 70, "jpeg")
    assert found.encoded == path.read_bytes()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("largest", "unused"), [(255, 8), (1023, 6), (4095, 4), (16000, 2), (65535, 0)])
def test_bits_of_a_png_that_no_pixel_uses_are_counted(tmp_path, channels, largest, unused):
    path = tmp_path / "a.png"
    pixels = np.linspace(0, largest, 40 * 70).astype(np.uint16).reshape(40, 70, 1)
    opaque = np.full_like(pixels, 65535)
    bands = [pixels] * (channels - (channels in (2, 4))) + [opaque] * (channels in (2, 4))
    path.write_bytes(tf.io.encode_png(np.concatenate(bands, axis=2)).numpy())
    found = read_image(path)
    assert (found.height, found.width, found.unused_bits) == (40, 70, unused)
    assert (Remark.UNUSED_BITS in remarks_on(found)) == (unused > 0)


def test_padding_after_the_end_is_no_fault(tmp_path):
    path = tmp_path / "padded.jpg"
    path.write_bytes(_encoded("JPEG") + bytes(500))
    assert read_image(path) == stored(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("keep", [0, 1, 20, 0.5, 0.98])
def test_cut_off_files_are_faults(tmp_path, kind, keep):
    whole = _encoded(kind)
    path = tmp_path / "cut"
    path.write_bytes(whole[: int(keep if isinstance(keep, int) else keep * len(whole))])
    found = read_image(path)
    assert isinstance(found, DataIssue)
    assert found.kind is IssueKind.BROKEN_IMAGE
    assert found.file == str(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"hello, this is text", IssueKind.BROKEN_IMAGE), (_encoded("BMP"), IssueKind.BROKEN_IMAGE)],
)
def test_other_formats_are_faults(tmp_path, content, kind):
    (tmp_path / "image.png").write_bytes(content)
    assert read_image(tmp_path / "image.png").kind is kind


def test_missing_files_and_folders_are_faults(tmp_path):
    assert read_image(tmp_path / "nothing.png").kind is IssueKind.NO_IMAGE
    assert read_image(tmp_path).kind is IssueKind.NOT_REGULAR
    (tmp_path / "link.png").symlink_to("gone")
    assert read_image(tmp_path / "link.png").reason == "broken link"


def test_a_file_too_large_to_embed_is_a_fault_before_it_is_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_image, "MAX_BYTES", 1 << 20)
    path = tmp_path / "a.png"
    path.write_bytes(_encoded("PNG") + bytes(2 << 20))
    with path.open("ab") as stream:
        stream.write(_encoded("PNG"))
    assert read_image(path) == stored(path)
    assert read_image(path, embed=True).reason == "larger than 1 MiB"


def test_too_many_pixels_are_a_fault(tmp_path):
    header = bytearray(_encoded("PNG"))
    header[16:24] = (2**20).to_bytes(4, "big") * 2
    (tmp_path / "huge.png").write_bytes(header)
    found = read_image(tmp_path / "huge.png")
    assert isinstance(found, DataIssue)
    assert found.kind is IssueKind.BROKEN_IMAGE


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("P", 3), ("RGB", 3), ("RGBA", 4)])
def test_channels_are_those_that_the_pixels_have(tmp_path, mode, channels):
    path = tmp_path / "image.png"
    Image.new(mode, (70, 40)).save(path)
    assert read_image(path).channels == channels


def test_bits_are_counted_only_on_request_since_all_pixels_are_decoded_for_it(monkeypatch):
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 6), 4095, np.uint16)).save(stream, "PNG")
    assert stored_image.header_of(stream).unused_bits == 4
    monkeypatch.setattr(stored_image, "_depth_of_pixels", lambda _: pytest.fail("decoded"))
    assert stored_image.header_of(stream, count_bits=False).unused_bits == 0
