"""Decodes, resizes and normalizes images.

H, W are pixels of the network input, C is the number of channels.

Training, evaluation, inference and calibration share this code: differences in resizing or normalization
would reduce accuracy without an error.
"""

import tensorflow as tf

from frcnn.data.conversion.stored_image import (
    DEPTHS,
    MAX_PIXELS,
    PNG_DEPTH_AT,
    PNG_SIZE_AT,
    SIDEWAYS,
    UPRIGHT,
)
from frcnn.data.transforms.image_arrays import GRAY_SHIFT, GRAY_WEIGHTS
from frcnn.data.transforms.image_settings import SIZE_STEP as SIZE_STEP
from frcnn.data.transforms.image_settings import ImageSettings as ImageSettings
from frcnn.data.transforms.image_settings import batch_of as batch_of

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# Components of a JPEG for print (CMYK), whose decoder returns colors only.
_CMYK = 4
# Offset of the color type in a PNG file, and its bit for files with colors.
_PNG_COLOR_AT, _PNG_HAS_COLOR = PNG_DEPTH_AT + 1, 2
_HEAD_BYTES = _PNG_COLOR_AT + 1


def prepare_image(
    encoded: tf.Tensor, settings: ImageSettings, orientation: int = UPRIGHT
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes, resizes and normalizes one image.

    The image is resized to the input size, or to its own target size with dynamic shape.

    Args:
        encoded: Content of a JPEG or PNG file, string scalar.
        settings: Input format of the network.
        orientation: EXIF orientation to apply.

    Returns:
        Preprocessed image, float32 `[H, W, C]`, and its original (height, width) after applying the
        orientation, int32 `[2]`.

    Raises:
        tf.errors.InvalidArgumentError: The image cannot be decoded.
    """
    image = decode_image(encoded, settings.channels, orientation)
    size = tf.shape(image)[:2]
    return normalize(stretch(image, *target_size(settings, size[0], size[1])), settings), size


def target_size(
    settings: ImageSettings, height: tf.Tensor, width: tf.Tensor
) -> tuple["int | tf.Tensor", "int | tf.Tensor"]:
    """Computes `ImageSettings.target_size` for tensors.

    Args:
        settings: Input format of the network.
        height: Height of the image, px, int32 scalar.
        width: Width of the image, px, int32 scalar.

    Returns:
        Height and width of the network input, px; ints for a fixed size, otherwise int32 scalars.
    """
    if not settings.dynamic:
        return settings.height, settings.width
    sides = tf.cast(tf.stack([height, width]), tf.float64)
    scale = settings.min_side / tf.reduce_min(sides)
    if settings.max_side:
        scale = tf.minimum(scale, settings.max_side / tf.reduce_max(sides))
    # Truncate like TAO, but tolerate rounding errors just below an integer.
    target = tf.maximum(1, tf.cast(tf.floor(sides * scale + 1e-6), tf.int32))
    return target[0], target[1]


def decode_image(encoded: tf.Tensor, channels: int, orientation: int | tf.Tensor = UPRIGHT) -> tf.Tensor:
    """Decodes a JPEG or PNG file. The content, not the file name, selects the decoder.

    The header is checked before memory is taken: a file of some kB may describe a billion pixels.
    Uses the slow, accurate DCT; the fast one differs by one or two gray levels.

    Args:
        encoded: Content of the file, string scalar. With 16 bits per channel, the upper 8 of the bits that
            the image uses are taken (8, 10, 12, 14 or 16): cameras store 12 bits in the lower part of 16.
        channels: 3 for RGB, 1 for gray.
        orientation: EXIF orientation to apply, 1 to 8. The default applies none, since labels refer to the
            stored pixels.

    Returns:
        Pixels, uint8 `[h, w, channels]`.

    Raises:
        tf.errors.InvalidArgumentError: The content is neither JPEG nor PNG, is damaged, or has too many
            pixels.
    """
    # Padded, since `substr` beyond the end of a string is an error.
    head = tf.strings.join([tf.strings.substr(encoded, 0, _HEAD_BYTES), bytes(_HEAD_BYTES)])
    is_png = _begins(head, _PNG)
    shape = tf.cond(is_png, lambda: _png_shape(head), lambda: _jpeg_shape(encoded, head))
    few = tf.reduce_prod(shape[:2]) <= MAX_PIXELS
    with tf.control_dependencies([tf.debugging.Assert(few, ["too many pixels"])]):
        pixels = tf.cond(
            is_png & (tf.strings.substr(head, PNG_DEPTH_AT, 1) == bytes([16])),
            lambda: _upper_bits(_decoded_16_bits(encoded, channels, shape[2] > 0)),
            lambda: _decoded(encoded, channels, shape[2] > 0),
        )
    pixels = tf.ensure_shape(pixels, [None, None, channels])
    if isinstance(orientation, int) and orientation == UPRIGHT:
        return pixels
    return tf.cond(tf.equal(orientation, UPRIGHT), lambda: pixels, lambda: _turned(pixels, orientation))


def _begins(head: tf.Tensor, mark: bytes) -> tf.Tensor:
    return tf.strings.substr(head, 0, len(mark)) == mark


def _png_shape(head: tf.Tensor) -> tf.Tensor:
    """Returns height, width, and whether there are colors in a PNG file, int64 `[3]`."""
    sides = tf.io.decode_raw(tf.strings.substr(head, PNG_SIZE_AT, 8), tf.int32, little_endian=False)
    width, height = tf.unstack(tf.cast(tf.ensure_shape(sides, [2]), tf.int64))
    kind = tf.io.decode_raw(tf.strings.substr(head, _PNG_COLOR_AT, 1), tf.uint8)[0]
    return tf.stack([height, width, tf.cast(tf.bitwise.bitwise_and(kind, _PNG_HAS_COLOR), tf.int64)])


def _jpeg_shape(encoded: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
    """Returns height, width, and whether a JPEG file has colors but no brightness, int64 `[3]`."""
    with tf.control_dependencies([tf.debugging.Assert(_begins(head, _JPEG), ["neither JPEG nor PNG"])]):
        shape = tf.cast(tf.image.extract_jpeg_shape(tf.identity(encoded)), tf.int64)
    return tf.stack([shape[0], shape[1], tf.cast(shape[2] == _CMYK, tf.int64)])


def _decoded(encoded: tf.Tensor, channels: int, only_colors: tf.Tensor) -> tf.Tensor:
    def decode(count: int) -> tf.Tensor:
        return tf.io.decode_jpeg(encoded, channels=count, dct_method="INTEGER_ACCURATE")

    if channels != 1:
        return decode(channels)
    # Brightness as stored. Computed by libpng, it would depend on the gamma in the file (`gAMA`, `cHRM`).
    return tf.cond(only_colors, lambda: tf.cast(_gray(decode(3)), tf.uint8), lambda: decode(1))


def _decoded_16_bits(encoded: tf.Tensor, channels: int, only_colors: tf.Tensor) -> tf.Tensor:
    def decode(count: int) -> tf.Tensor:
        return tf.cast(tf.io.decode_png(encoded, channels=count, dtype=tf.uint16), tf.int32)

    if channels != 1:
        return decode(channels)
    return tf.cond(only_colors, lambda: _gray(decode(3), half=1 << GRAY_SHIFT - 1), lambda: decode(1))


def _gray(colors: tf.Tensor, half: int = 0) -> tf.Tensor:
    """Returns brightness like `image_arrays.with_channels`, int32 `[h, w, 1]`; `half` rounds it."""
    summed = tf.reduce_sum(tf.cast(colors, tf.int32) * GRAY_WEIGHTS, axis=-1, keepdims=True)
    return tf.bitwise.right_shift(summed + half, GRAY_SHIFT)


def _upper_bits(values: tf.Tensor) -> tf.Tensor:
    """Returns the upper 8 of the bits that an image with 16 bits per channel uses; values are int32."""
    limits = tf.constant([1 << depth for depth in DEPTHS])
    depth = tf.gather(DEPTHS, tf.reduce_sum(tf.cast(tf.reduce_max(values) >= limits, tf.int32)))
    return tf.cast(tf.bitwise.right_shift(values, depth - DEPTHS[0]), tf.uint8)


def _turned(pixels: tf.Tensor, orientation: int | tf.Tensor) -> tf.Tensor:
    """Applies an EXIF orientation from 1 to 8; other values count as 1.

    Source: Exif 2.32, tag 274: display positions of the stored row 0 and column 0.
    """
    code = tf.cast(orientation, tf.int32)

    def among(*codes: int) -> tf.Tensor:
        return tf.reduce_any(code == tf.constant(codes))

    pixels = tf.cond(among(*sorted(SIDEWAYS)), lambda: _rows_as_columns(pixels), lambda: pixels)
    pixels = tf.cond(among(3, 4, 7, 8), lambda: tf.reverse(pixels, [0]), lambda: pixels)
    pixels = tf.cond(among(2, 3, 6, 7), lambda: tf.reverse(pixels, [1]), lambda: pixels)
    return tf.ensure_shape(pixels, [None, None, pixels.shape[-1]])


def _rows_as_columns(pixels: tf.Tensor) -> tf.Tensor:
    """Transposes height and width of an image, `[H, W, C]`.

    By `gather_nd`: for `tf.transpose` of uint8, even if it never runs, oneDNN logs an error in each process.
    """
    columns, rows = tf.meshgrid(tf.range(tf.shape(pixels)[1]), tf.range(tf.shape(pixels)[0]), indexing="ij")
    return tf.gather_nd(pixels, tf.stack([rows, columns], axis=-1))


def stretch(image: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Resizes an image bilinearly, with pixel centers at .5 and without antialiasing.

    Args:
        image: Image, `[h, w, C]`.
        height: Target height, px.
        width: Target width, px.

    Returns:
        Image, float32 `[height, width, C]`; the aspect ratio may change.
    """
    resized = tf.image.resize(image, [height, width], method="bilinear", antialias=False)
    return tf.cast(resized, tf.float32)


def pad_or_crop(image: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Crops an image, or pads it with 0, at the right and bottom.

    Args:
        image: Image, `[h, w, C]`.
        height: Target height, px.
        width: Target width, px.

    Returns:
        Image, float32 `[height, width, C]`.
    """
    image = tf.cast(image[:height, :width], tf.float32)
    missing = [[0, height - tf.shape(image)[0]], [0, width - tf.shape(image)[1]], [0, 0]]
    static = [side if isinstance(side, int) else None for side in (height, width)]
    return tf.ensure_shape(tf.pad(image, missing), [*static, image.shape[-1]])


def pad_to_multiple(image: tf.Tensor, multiple: int) -> tf.Tensor:
    """Pads an image with 0 at the right and bottom until both sides are divisible.

    Args:
        image: Image, `[h, w, C]`.
        multiple: Divisor of both sides.
    """
    missing = -tf.shape(image)[:2] % multiple
    padded = tf.pad(image, [[0, missing[0]], [0, missing[1]], [0, 0]])
    return tf.ensure_shape(padded, [None, None, image.shape[-1]])


def normalize(image: tf.Tensor, settings: ImageSettings) -> tf.Tensor:
    """Applies channel order, mean and scale.

    Args:
        image: Image, float32 `[..., C]`, RGB or gray, 0..255.
        settings: Input format of the network.

    Returns:
        Normalized image, float32 `[..., C]`.
    """
    if settings.order == "bgr":
        image = tf.reverse(image, axis=[-1])
    return (image - tf.constant(settings.mean, tf.float32)) / settings.scale


def denormalize(image: tf.Tensor, settings: ImageSettings) -> tf.Tensor:
    """Inverts `normalize`.

    Args:
        image: Normalized image, float32 `[..., C]`.
        settings: Input format of the network.

    Returns:
        Pixels, uint8 `[..., C]`, RGB or gray, rounded and clipped to 0..255.
    """
    image = image * settings.scale + tf.constant(settings.mean, tf.float32)
    if settings.order == "bgr":
        image = tf.reverse(image, axis=[-1])
    return tf.cast(tf.clip_by_value(tf.round(image), 0.0, 255.0), tf.uint8)
