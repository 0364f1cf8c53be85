"""Pillow and NumPy against TensorFlow: the same pixels, the same network input."""

import dataclasses
import io
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from frcnn.data.transforms import image_arrays
from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.data.transforms.preprocess import decode_image, prepare_image
from frcnn.errors import DataError

COLOR = ImageSettings(96, 160, 3, "bgr", (103.939, 116.779, 123.68), 1.5, True)
GRAY = dataclasses.replace(COLOR, channels=1, order="l", mean=(117.3,))
DYNAMIC = dataclasses.replace(COLOR, height=0, width=0, min_side=130, max_side=210)
SIZES = [(96, 160), (48, 80), (50, 333), (301, 97), (1, 1), (375, 1242)]


def pixels(height, width, seed=0):
    random = np.random.default_rng(seed)
    smooth = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).repeat(8, 0).repeat(8, 1)
    return (smooth[:height, :width] // 2 + random.integers(0, 128, (height, width, 3))).astype(np.uint8)


def encoded(array, suffix="PNG", mode=None, **options):
    image = Image.fromarray(array)
    buffer = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(buffer, suffix, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize(
    ("suffix", "mode", "options"),
    [
        ("PNG", None, {}),
        ("PNG", "L", {}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "LA", {}),
        ("JPEG", None, {"quality": 90}),
        ("JPEG", None, {"quality": 60, "subsampling": 2, "progressive": True}),
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {"quality": 90}),
        ("JPEG", None, {"keep_rgb": True}),
        ("PNG", "P", {"transparency": bytes(range(256))}),
    ],
)
def test_files_have_the_pixels_that_tensorflow_decodes(suffix, mode, options, channels):
    data = encoded(pixels(61, 83), suffix, mode, **options)
    expected = decode_image(tf.constant(data), channels).numpy()
    np.testing.assert_array_equal(image_arrays.decode(data, channels), expected)


def with_chunk(png, kind, content):
    """A PNG file with one more chunk after its header."""
    chunk = len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)
    return png[:33] + chunk + png[33:]


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("deep", [False, True], ids=["8 bits", "16 bits"])
def test_the_gamma_of_a_png_file_changes_no_pixel(deep, channels):
    colors = pixels(61, 83)
    data = tf.io.encode_png(colors.astype(np.uint16) * 257 if deep else colors).numpy()
    plain = decode_image(tf.constant(data), channels).numpy()
    for kind, content in ((b"gAMA", (45455).to_bytes(4)), (b"sRGB", b"\0")):
        marked = with_chunk(data, kind, content)
        np.testing.assert_array_equal(decode_image(tf.constant(marked), channels), plain)
        np.testing.assert_array_equal(image_arrays.decode(marked, channels), plain)


@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
def test_files_of_16_bits_have_the_pixels_that_tensorflow_decodes(depth):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 2**depth, (20, 30), np.uint16)).save(buffer, "PNG")
    expected = decode_image(tf.constant(buffer.getvalue()), 3).numpy()
    np.testing.assert_array_equal(image_arrays.decode(buffer.getvalue(), 3), expected)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("stored", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
def test_colors_of_16_bits_have_the_pixels_that_tensorflow_decodes(depth, stored, channels):
    values = np.random.default_rng(0).integers(0, 2**depth, (20, 30, stored), np.uint16)
    values[..., 1:2] //= 16  # brightness that uses fewer bits than the colors
    values[..., 3:] = 65535  # opaque
    data = tf.io.encode_png(values).numpy()
    expected = decode_image(tf.constant(data), channels).numpy()
    assert expected.max() > 63  # the upper 8 of 16 bits would be 15 at most, for 12 bits
    np.testing.assert_array_equal(image_arrays.decode(data, channels), expected)
    with Image.open(io.BytesIO(data)) as image:  # as a user passes it to a detector
        found = image_arrays.with_channels(image_arrays.pixels_of(image, channels), channels)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("settings", [COLOR, GRAY, DYNAMIC], ids=["color", "gray", "dynamic"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_network_sees_what_it_sees_by_tensorflow(size, settings):
    data = encoded(pixels(*size))
    expected, original = prepare_image(tf.constant(data), settings)
    decoded = image_arrays.decode(data, settings.channels)
    assert decoded.shape[:2] == tuple(original.numpy())
    found = image_arrays.prepare(decoded, settings)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    # 1e-3 of a gray level, divided by the scale.
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-3 / settings.scale)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a JPEG or PNG file"),
        (b"no image", "not a JPEG or PNG file"),
        (encoded(pixels(40, 40), "BMP"), "not a JPEG or PNG file"),
        (encoded(pixels(40, 40), "JPEG")[:600], "(?i:truncated)"),
    ],
)
def test_what_is_no_image_is_named_with_a_reason(data, reason):
    with pytest.raises(DataError, match=rf"photo: cannot be read as an image \(.*{reason}"):
        image_arrays.decode(data, 3, "photo")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png: cannot be read as an image \(No such file"):
        image_arrays.read(tmp_path / "gone.png", 3)
