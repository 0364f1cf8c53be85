"""From an image file's bytes to what the network reads. H, W are pixels of the network input, C channels.

One code path for training, evaluation, inference and calibration: an image that is resized and
normalised twice in two ways costs accuracy that nobody finds again.
"""

import dataclasses
from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from frcnn.spec.config import Experiment


@dataclasses.dataclass(frozen=True)
class ImageSettings:
    """What the network expects of an image.

    Attributes:
        height: Rows of the network input, px.
        width: Columns of the network input, px.
        channels: 3 (colour) or 1 (grey).
        order: `rgb`, `bgr` or `l`.
        mean: Subtracted per channel, in the order of the network's channels; scale 0..255.
        scale: What the difference is divided by.
        auto_resize: Training images are stretched to the input size; otherwise they are padded
            with zeros at the right and bottom, or cropped there.
    """

    height: int
    width: int
    channels: int
    order: str
    mean: tuple[float, ...]
    scale: float
    auto_resize: bool

    @classmethod
    def from_spec(cls, spec: "Experiment") -> "ImageSettings":
        """The settings a checked spec asks for (static input size)."""
        image = spec.model_config.input_image_config
        size = image.size_height_width
        if size is None:
            raise NotImplementedError("dynamic input size")
        grey = image.image_type.name == "GRAY_SCALE"
        order = "l" if grey else ("bgr" if image.image_channel_order.lower() == "bgr" else "rgb")
        return cls(
            height=size.height,
            width=size.width,
            channels=1 if grey else 3,
            order=order,
            mean=tuple(float(image.image_channel_mean[letter]) for letter in order),
            scale=float(image.image_scaling_factor),
            auto_resize=bool(spec.augmentation_config.preprocessing.enable_auto_resize),
        )


def prepare_image(encoded: tf.Tensor, settings: ImageSettings) -> tuple[tf.Tensor, tf.Tensor]:
    """The network's input for one image, always stretched to the input size.

    Args:
        encoded: Scalar string, the bytes of a JPEG or PNG file.
        settings: What the network expects.

    Returns:
        The image, float32 [H, W, C], network-ready; the size it had, int32 [2] (height, width).

    Raises:
        tf.errors.InvalidArgumentError: The bytes are not an image that can be decoded.
    """
    image = decode_image(encoded, settings.channels)
    return normalise(stretch(image, settings.height, settings.width), settings), tf.shape(image)[:2]


def decode_image(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Pixels of a JPEG or PNG file, uint8 [h, w, channels], RGB or grey.

    The bytes decide which decoder is used, not the file's name (this op reads either format).
    The slow, accurate DCT is part of the contract: the fast one differs by a grey level or two.
    An EXIF orientation is not applied, since labels are drawn on the stored pixels.
    """
    pixels = tf.io.decode_jpeg(encoded, channels=channels, dct_method="INTEGER_ACCURATE")
    return tf.ensure_shape(pixels, [None, None, channels])


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
