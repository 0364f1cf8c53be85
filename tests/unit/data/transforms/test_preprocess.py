"""Network inputs, compared with a second implementation in NumPy."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from frcnn.data.transforms.preprocess import (
    ImageSettings,
    decode_image,
    denormalize,
    normalize,
    pad_or_crop,
    prepare_image,
    stretch,
)
from frcnn.settings.data import image_settings
from tests.support.large_images import large_jpeg, large_png
from tests.support.loading import ImageType, image_bytes, loading_spec, noise_image
from tests.support.plain_images import bilinear

# Decodes an image in a graph, as the loader does.
TURNING = """
import sys
import tensorflow as tf
from frcnn.data.transforms.preprocess import decode_image

encoded = tf.io.read_file(sys.argv[1])
dataset = tf.data.Dataset.from_tensors((encoded, 6)).map(lambda image, code: decode_image(image, 3, code))
print(next(iter(dataset)).shape)
"""
BGR = ImageSettings(24, 50, 3, "bgr", (103.9, 116.8, 123.7), 2.0, True)


def test_image_is_stretched_reordered_centered_and_scaled():
    pixels = noise_image(1)
    image, size = prepare_image(tf.constant(image_bytes(pixels)), BGR)
    expected = (bilinear(pixels, 24, 50)[..., ::-1] - [103.9, 116.8, 123.7]) / 2.0
    np.testing.assert_allclose(image, expected, atol=1e-3)
    np.testing.assert_array_equal(size, [40, 60])


def test_upscaling_follows_the_same_rule():
    pixels = noise_image(2, 7, 9)
    np.testing.assert_allclose(stretch(tf.constant(pixels), 31, 20), bilinear(pixels, 31, 20), atol=1e-3)


def test_jpeg_is_decoded_with_the_accurate_transform():
    data = image_bytes(noise_image(3), "JPEG")
    expected = tf.io.decode_jpeg(data, 3, dct_method="INTEGER_ACCURATE")
    np.testing.assert_array_equal(decode_image(tf.constant(data), 3), expected)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "LA"])
def test_any_png_becomes_three_channels(mode):
    picture = Image.fromarray(noise_image(4)).convert(mode)
    decoded = decode_image(tf.constant(image_bytes(np.asarray(noise_image(4)))), 3)
    assert decoded.shape == (40, 60, 3)
    shown = np.asarray(picture.convert("RGB"))
    data = tf.constant(_png(picture))
    np.testing.assert_allclose(decode_image(data, 3), shown, atol=0)


def test_color_picture_becomes_gray_by_luma():
    pixels = noise_image(5)
    gray = decode_image(tf.constant(image_bytes(pixels, "JPEG")), 1)
    np.testing.assert_allclose(gray[..., 0], pixels @ [0.299, 0.587, 0.114], atol=8)


def test_bytes_that_are_no_image_raise():
    with pytest.raises(tf.errors.InvalidArgumentError):
        prepare_image(tf.constant(b"\x89PNG but not really"), BGR)


def test_static_shape_is_known_inside_a_graph():
    shape = tf.function(lambda data: prepare_image(data, BGR)[0]).get_concrete_function(
        tf.TensorSpec([], tf.string)
    )
    assert shape.structured_outputs.shape == (24, 50, 3)


@pytest.mark.parametrize(("height", "width"), [(30, 70), (50, 50), (40, 60)])
def test_without_resizing_the_right_and_bottom_are_cut_or_black(height, width):
    pixels = noise_image(6)
    expected = np.zeros((height, width, 3), np.float32)
    part = pixels[:height, :width]
    expected[: part.shape[0], : part.shape[1]] = part
    np.testing.assert_array_equal(pad_or_crop(tf.constant(pixels), height, width), expected)


def test_denormalize_gives_the_picture_back():
    pixels = noise_image(7)
    again = denormalize(normalize(tf.cast(pixels, tf.float32), BGR), BGR)
    np.testing.assert_array_equal(again, pixels)


def test_settings_come_from_the_spec_in_the_order_of_the_network():
    spec = loading_spec(height=160, width=320, image_channel_order="bgr", image_scaling_factor=3.0)
    expected = ImageSettings(160, 320, 3, "bgr", (103.939, 116.779, 123.68), 3.0, True)
    assert image_settings(spec) == expected
    gray = image_settings(loading_spec(image_type=ImageType.GRAY_SCALE, image_channel_order="l"))
    assert (gray.channels, gray.order, gray.mean) == (1, "l", (117.0,))


def _png(picture: Image.Image) -> bytes:
    import io

    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("code", range(1, 9))
def test_an_orientation_turns_an_image_as_pillow_does(code):
    pixels = noise_image(1)
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = code
    turned = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(decode_image(tf.constant(image_bytes(pixels)), 3, code), turned)


def test_turning_an_image_makes_tensorflow_log_no_error(tmp_path):
    (tmp_path / "a.png").write_bytes(image_bytes(noise_image(1)))
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-c", TURNING, str(tmp_path / "a.png")],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "(60, 40, 3)\n"
    # "oneDNN supports DT_UINT8 only on platforms with AVX-512", which users would take for their own mistake.
    assert "E0000" not in done.stderr


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("content", [large_png(), large_jpeg()], ids=["png", "jpeg"])
def test_a_header_of_too_many_pixels_is_refused_before_they_are_decoded(content, channels):
    assert len(content) < 4000
    with pytest.raises(tf.errors.InvalidArgumentError, match="too many pixels"):
        decode_image(tf.constant(content), channels)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "TIFF"])
def test_formats_that_no_conversion_accepts_are_refused(kind):
    stream = io.BytesIO()
    Image.fromarray(noise_image(0)).save(stream, kind)
    with pytest.raises(tf.errors.InvalidArgumentError, match="neither JPEG nor PNG"):
        decode_image(tf.constant(stream.getvalue()), 3)


@pytest.mark.parametrize("length", [0, 1, 8, 20, 30])
def test_the_first_bytes_of_a_file_are_no_image(length):
    for content in (image_bytes(noise_image(0)), image_bytes(noise_image(0), "JPEG")):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode_image(tf.constant(content[:length]), 3)
