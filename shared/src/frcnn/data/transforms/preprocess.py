"""From an image file's bytes to what the network reads. H, W are pixels of the network input, C channels.

One code path for training, evaluation, inference and calibration: an image that is resized and
normalised twice in two ways costs accuracy that nobody finds again.
"""

import tensorflow as tf

from frcnn.data.conversion.stored_image import DEPTHS, PNG_DEPTH_AT, SIDEWAYS, UPRIGHT
from frcnn.data.transforms.image_settings import SIZE_STEP as SIZE_STEP
from frcnn.data.transforms.image_settings import ImageSettings as ImageSettings
from frcnn.data.transforms.image_settings import batch_of as batch_of

_PNG = b"\x89PNG\r\n\x1a\n"


def prepare_image(
    encoded: tf.Tensor, settings: ImageSettings, orientation: int = UPRIGHT
) -> tuple[tf.Tensor, tf.Tensor]:
    """The network's input for one image, always resized: stretched to the input size, or to its own size.

    Args:
        encoded: Scalar string, the bytes of a JPEG or PNG file.
        settings: What the network expects.
        orientation: EXIF orientation to apply.

    Returns:
        The image, float32 [H, W, C], network-ready; the size it had, int32 [2] (height, width), once turned.

    Raises:
        tf.errors.InvalidArgumentError: The bytes are not an image that can be decoded.
    """
    image = decode_image(encoded, settings.channels, orientation)
    size = tf.shape(image)[:2]
    return normalise(stretch(image, *target_size(settings, size[0], size[1])), settings), size


def target_size(
    settings: ImageSettings, height: tf.Tensor, width: tf.Tensor
) -> tuple["int | tf.Tensor", "int | tf.Tensor"]:
    """`ImageSettings.target_size` for tensors: height and width that the network sees, all int px."""
    if not settings.dynamic:
        return settings.height, settings.width
    sides = tf.cast(tf.stack([height, width]), tf.float64)
    scale = settings.min_side / tf.reduce_min(sides)
    if settings.max_side:
        scale = tf.minimum(scale, settings.max_side / tf.reduce_max(sides))
    # Truncated as in the reference, but never for a rounding error.
    target = tf.maximum(1, tf.cast(tf.floor(sides * scale + 1e-6), tf.int32))
    return target[0], target[1]


def decode_image(encoded: tf.Tensor, channels: int, orientation: int | tf.Tensor = UPRIGHT) -> tf.Tensor:
    """Decodes a JPEG or PNG file to uint8 [h, w, channels], RGB or grey.

    The bytes decide which decoder is used, not the file's name (this op reads either format).
    The slow, accurate DCT is part of the contract: the fast one differs by a grey level or two.

    Args:
        encoded: Scalar string, the file's bytes. Of 16 bits a channel the upper 8 of those that the image
        uses are
            taken (8, 10, 12, 14 or 16): cameras put 12 bits into the lower part of 16.
        channels: 3 or 1.
        orientation: EXIF orientation to apply, 1 to 8. By default none is, since labels are drawn on the
        stored pixels.
    """
    pixels = tf.cond(
        _is_deep_png(encoded),
        lambda: _upper_bits(tf.io.decode_png(encoded, channels=channels, dtype=tf.uint16)),
        lambda: tf.io.decode_jpeg(encoded, channels=channels, dct_method="INTEGER_ACCURATE"),
    )
    pixels = tf.ensure_shape(pixels, [None, None, channels])
    if isinstance(orientation, int) and orientation == UPRIGHT:
        return pixels
    return tf.cond(tf.equal(orientation, UPRIGHT), lambda: pixels, lambda: _turned(pixels, orientation))


def _is_deep_png(encoded: tf.Tensor) -> tf.Tensor:
    """Whether a file begins as a PNG of 16 bits a channel does."""
    # Filled up, since taking a part of what is shorter is an error.
    head = tf.strings.join([tf.strings.substr(encoded, 0, PNG_DEPTH_AT + 1), bytes(PNG_DEPTH_AT + 1)])
    begins = tf.strings.substr(head, 0, len(_PNG)) == _PNG
    return begins & (tf.strings.substr(head, PNG_DEPTH_AT, 1) == bytes([16]))


def _upper_bits(deep: tf.Tensor) -> tf.Tensor:
    """The 8 upper bits of those that an image of 16 bits a channel uses."""
    values = tf.cast(deep, tf.int32)
    limits = tf.constant([1 << depth for depth in DEPTHS])
    depth = tf.gather(DEPTHS, tf.reduce_sum(tf.cast(tf.reduce_max(values) >= limits, tf.int32)))
    return tf.cast(tf.bitwise.right_shift(values, depth - DEPTHS[0]), tf.uint8)


def _turned(pixels: tf.Tensor, orientation: int | tf.Tensor) -> tf.Tensor:
    """Pixels as viewers show them by EXIF orientation 1 to 8; any other is taken for 1.

    Source: Exif 2.32, tag 274: where the stored row 0 and column 0 are shown.
    """
    code = tf.cast(orientation, tf.int32)

    def among(*codes: int) -> tf.Tensor:
        return tf.reduce_any(code == tf.constant(codes))

    pixels = tf.cond(among(*sorted(SIDEWAYS)), lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
    pixels = tf.cond(among(3, 4, 7, 8), lambda: tf.reverse(pixels, [0]), lambda: pixels)
    pixels = tf.cond(among(2, 3, 6, 7), lambda: tf.reverse(pixels, [1]), lambda: pixels)
    return tf.ensure_shape(pixels, [None, None, pixels.shape[-1]])


def stretch(image: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """`image` [h, w, C] stretched to float32 [height, width, C]: bilinear, pixel centres at .5."""
    resized = tf.image.resize(image, [height, width], method="bilinear", antialias=False)
    return tf.cast(resized, tf.float32)


def pad_or_crop(image: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """`image` [h, w, C] as float32 [height, width, C]: cut, or filled with 0, at the right and bottom."""
    image = tf.cast(image[:height, :width], tf.float32)
    missing = [[0, height - tf.shape(image)[0]], [0, width - tf.shape(image)[1]], [0, 0]]
    static = [side if isinstance(side, int) else None for side in (height, width)]
    return tf.ensure_shape(tf.pad(image, missing), [*static, image.shape[-1]])


def pad_to_multiple(image: tf.Tensor, multiple: int) -> tf.Tensor:
    """`image` [h, w, C] with zeros at the right and bottom, so that `multiple` divides both sides."""
    missing = -tf.shape(image)[:2] % multiple
    padded = tf.pad(image, [[0, missing[0]], [0, missing[1]], [0, 0]])
    return tf.ensure_shape(padded, [None, None, image.shape[-1]])


def normalise(image: tf.Tensor, settings: ImageSettings) -> tf.Tensor:
    """Channel order, mean and scale applied to `image` [..., C], RGB or grey, 0..255; float32."""
    if settings.order == "bgr":
        image = tf.reverse(image, axis=[-1])
    return (image - tf.constant(settings.mean, tf.float32)) / settings.scale


def denormalise(image: tf.Tensor, settings: ImageSettings) -> tf.Tensor:
    """The inverse of `normalise`: RGB or grey, uint8, rounded and clipped to 0..255."""
    image = image * settings.scale + tf.constant(settings.mean, tf.float32)
    if settings.order == "bgr":
        image = tf.reverse(image, axis=[-1])
    return tf.cast(tf.clip_by_value(tf.round(image), 0.0, 255.0), tf.uint8)
