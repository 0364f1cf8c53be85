import io

import pytest
from PIL import Image

from frcnn.data.conversion.faults import Fault, FaultKind
from frcnn.data.conversion.stored_image import StoredImage, read_image


def _encoded(kind, size=(70, 40), **options):
    stream = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_size_is_height_and_width_and_bytes_are_the_files_own(tmp_path, kind):
    path = tmp_path / "image"
    path.write_bytes(_encoded(kind))
    assert read_image(path) == StoredImage(height=40, width=70)
    assert read_image(path, embed=True) == StoredImage(40, 70, path.read_bytes(), kind.lower())


def test_exif_rotation_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    path = tmp_path / "turned.jpg"
    path.write_bytes(_encoded("JPEG", exif=exif))
    assert read_image(path) == StoredImage(height=40, width=70)


def test_padding_after_the_end_is_no_fault(tmp_path):
    path = tmp_path / "padded.jpg"
    path.write_bytes(_encoded("JPEG") + bytes(500))
    assert read_image(path) == StoredImage(height=40, width=70)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("keep", [0, 1, 20, 0.5, 0.98])
def test_cut_off_files_are_faults(tmp_path, kind, keep):
    whole = _encoded(kind)
    path = tmp_path / "cut"
    path.write_bytes(whole[: int(keep if isinstance(keep, int) else keep * len(whole))])
    found = read_image(path)
    assert isinstance(found, Fault)
    assert found.kind is FaultKind.BROKEN_IMAGE
    assert found.file == str(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"hello, this is text", FaultKind.BROKEN_IMAGE), (_encoded("BMP"), FaultKind.BROKEN_IMAGE)],
)
def test_other_formats_are_faults(tmp_path, content, kind):
    (tmp_path / "image.png").write_bytes(content)
    assert read_image(tmp_path / "image.png").kind is kind


def test_missing_files_and_folders_are_faults(tmp_path):
    assert read_image(tmp_path / "nothing.png").kind is FaultKind.NO_IMAGE
    assert read_image(tmp_path).kind is FaultKind.BROKEN_IMAGE


def test_too_many_pixels_are_a_fault(tmp_path):
    header = bytearray(_encoded("PNG"))
    header[16:24] = (2**20).to_bytes(4, "big") * 2
    (tmp_path / "huge.png").write_bytes(header)
    found = read_image(tmp_path / "huge.png")
    assert isinstance(found, Fault)
    assert found.kind is FaultKind.BROKEN_IMAGE
