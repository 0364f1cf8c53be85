"""Layers of the detectors: Keras layers with the same saved format and faster computation.

Saved configurations and weights equal those of the Keras base classes, so pruning, export and weight loading
by name treat both alike. Tensors are NHWC.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import keras
import tensorflow as tf

from frcnn.ops.convolution_without_avx512 import convolve_without_avx512, without_avx512
from frcnn.ops.dft_convolution import convolve_saving_memory, convolve_transformed, transform_kernel
from frcnn.ops.dft_matrices import LARGEST_DFT_SIDE, SMALLEST_DFT_DEPTH, dft_matrices

_PLAIN = contextvars.ContextVar("plain_convolutions", default=False)
_MOMENTUM: contextvars.ContextVar[tf.Tensor | None] = contextvars.ContextVar("momentum", default=None)


@contextlib.contextmanager
def plain_convolutions() -> Iterator[None]:
    """Disables the DFT route of convolutions within the block, for graphs of other runtimes."""
    token = _PLAIN.set(True)
    try:
        yield
    finally:
        _PLAIN.reset(token)


@contextlib.contextmanager
def statistics_momentum(momentum: tf.Tensor) -> Iterator[None]:
    """Limits the momentum of moving statistics within the block.

    Args:
        momentum: Upper limit of the layers' own momentum, float32 scalar.
    """
    token = _MOMENTUM.set(momentum)
    try:
        yield
    finally:
        _MOMENTUM.reset(token)


@keras.saving.register_keras_serializable("frcnn")
class Conv2D(keras.layers.Conv2D):
    """Convolution with symmetric `same` padding: floor(kernel / 2) zeros on every side.

    TensorFlow pads strided convolutions at the bottom right only; TAO, PyTorch and TensorRT pad all sides. On
    a CPU, 3x3 convolutions of small square maps (pooled RoIs) use the DFT route.
    """

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], **options: object) -> None:
        """Creates a convolution.

        With `saves_memory`, set before a training is compiled, the DFT route needs less memory and more time.

        Args:
            filters: Number of filters.
            kernel_size: Height and width of the kernel, or one number for both.
            options: Arguments of `keras.layers.Conv2D`; the default of `padding` is `same`.
        """
        options.setdefault("padding", "same")
        super().__init__(filters, kernel_size, **options)
        self._cached_kernel: tf.Variable | None = None
        self.saves_memory = False

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Convolves inputs `[N, H, W, D]`."""
        kernel = tf.cast(self.effective_kernel(), inputs.dtype)
        if self.takes_dft(inputs.shape):
            outputs = self._by_frequencies(inputs, kernel, training=training)
        else:
            outputs = self._convolve(inputs, kernel)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, keras.ops.convert_to_tensor(self.bias))
        return outputs if self.activation is None else self.activation(outputs)

    def effective_kernel(self) -> tf.Tensor:
        """Returns the kernel to convolve with; subclasses may quantize it."""
        return keras.ops.convert_to_tensor(self.kernel)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape `[N, floor((H + 2 pad - kernel) / stride) + 1, ..., filters]`."""
        before = [pads[0] for pads in self._pads()[1:3]]
        sides = [
            None if side is None else (side + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for side, pad, kernel, stride, dilation in zip(
                input_shape[1:3], before, self.kernel_size, self.strides, self.dilation_rate, strict=True
            )
        ]
        return (input_shape[0], *sides, self.filters)

    def cache_kernel(self, side: int) -> None:
        """Caches the transformed kernel for inference; call it again after the weights changed.

        Args:
            side: Side of the input maps, cells.
        """
        transformed = transform_kernel(tf.cast(self.effective_kernel(), tf.float32), side)
        if self._cached_kernel is None:
            with tf.init_scope():
                # Hide the variable from Keras: it is derived from the kernel and must not be saved.
                variable = tf.Variable(
                    transformed,
                    trainable=False,
                    dtype=tf.float32,
                    shape=[None, *transformed.shape[1:]],  # `release_kernel` empties it
                )
                object.__setattr__(self, "_cached_kernel", variable)
        else:
            self._cached_kernel.assign(transformed)

    def release_kernel(self) -> None:
        """Frees the memory of the transformed kernel; call `cache_kernel` before the next inference."""
        if self._cached_kernel is not None:
            self._cached_kernel.assign(tf.zeros([0, *self._cached_kernel.shape[1:]]))

    def takes_dft(self, shape: tuple[int | None, ...]) -> bool:
        """Checks whether inputs of `shape` `[N, H, W, D]` use the DFT route on this machine."""
        if _PLAIN.get():
            return False
        side, depth = shape[1], shape[3]
        plain = self.kernel_size == (3, 3) and self.padding == "same" and self.groups == 1
        if side is None or depth is None or side != shape[2] or side > LARGEST_DFT_SIDE:
            return False
        dense = self.strides == (1, 1) and self.dilation_rate == (1, 1) and depth >= SMALLEST_DFT_DEPTH
        return plain and dense and not tf.config.list_logical_devices("GPU")

    def _by_frequencies(self, inputs: tf.Tensor, kernel: tf.Tensor, *, training: bool) -> tf.Tensor:
        if training and self.saves_memory:
            return convolve_saving_memory(inputs, kernel)
        cached = None if training else self._cached_kernel
        if cached is None:
            return convolve_transformed(inputs, transform_kernel(kernel, inputs.shape[1]))
        products = len(dft_matrices(inputs.shape[1])[0])
        transformed = tf.ensure_shape(cached, [products, *kernel.shape[2:]])
        return convolve_transformed(inputs, tf.cast(transformed, inputs.dtype))

    def _convolve(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        # oneDNN has no gradient kernels for explicit padding, which makes it five times slower. At stride 1
        # TensorFlow's SAME is symmetric; otherwise pad first.
        pads = self._pads()
        odd = all(kernel % 2 for kernel in self.kernel_size)
        if self.strides == (1, 1) and self.padding == "same" and odd:
            if self._avoids_slow_routes(inputs):
                return convolve_without_avx512(inputs, kernel)
            return tf.nn.conv2d(inputs, kernel, 1, "SAME", dilations=self.dilation_rate)
        if pads[1] != [0, 0] or pads[2] != [0, 0]:
            inputs = tf.pad(inputs, pads)
        return tf.nn.conv2d(inputs, kernel, self.strides, "VALID", dilations=self.dilation_rate)

    def _avoids_slow_routes(self, inputs: tf.Tensor) -> bool:
        """Checks whether other routes than TensorFlow's are faster, for odd kernels at stride 1."""
        plain = self.groups == 1 and self.dilation_rate == (1, 1) and self.kernel_size != (1, 1)
        return plain and inputs.dtype == tf.float32 and not _PLAIN.get() and without_avx512()

    def _pads(self) -> list[list[int]]:
        if self.padding == "valid":
            return [[0, 0]] * 4
        sides = zip(self.kernel_size, self.dilation_rate, strict=True)
        half = [((kernel - 1) * dilation + 1) // 2 for kernel, dilation in sides]
        return [[0, 0], [half[0]] * 2, [half[1]] * 2, [0, 0]]


def dft_layers(head: keras.Model) -> list[Conv2D]:
    """Returns the convolutions of a network that use the DFT route on this machine.

    Args:
        head: Network that gets pooled RoIs.
    """
    return [
        layer for layer in head.layers if isinstance(layer, Conv2D) and layer.takes_dft(layer.input.shape)
    ]


@keras.saving.register_keras_serializable("frcnn")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization over the channels by TensorFlow's fused kernel.

    With `frozen`, moving mean and variance are constant and also used in training, while gamma and beta
    remain trainable. (Keras's `trainable = False` would freeze those as well.)
    """

    def __init__(self, *, frozen: bool = False, **options: object) -> None:
        """Creates a batch normalization.

        Args:
            frozen: Whether the moving statistics are constant.
            options: Arguments of `keras.layers.BatchNormalization`.
        """
        super().__init__(**options)
        self.frozen = frozen

    def call(self, inputs: tf.Tensor, training: bool = False, mask: None = None) -> tf.Tensor:
        """Normalizes inputs `[N, H, W, D]` over D; updates the moving statistics in training."""
        learn = bool(training) and not self.frozen and self.trainable
        gamma, beta, mean, variance = (
            tf.cast(weight.value, tf.float32)
            for weight in (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        )
        empty = tf.constant([], tf.float32)
        outputs, batch_mean, batch_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=gamma,
            offset=beta,
            mean=empty if learn else mean,
            variance=empty if learn else variance,
            epsilon=self.epsilon,
            is_training=learn,
        )
        if learn:
            given = _MOMENTUM.get()
            momentum = self.momentum if given is None else tf.minimum(given, self.momentum)
            self.moving_mean.assign(mean * momentum + batch_mean * (1.0 - momentum))
            self.moving_variance.assign(variance * momentum + batch_variance * (1.0 - momentum))
        return outputs

    def get_config(self) -> dict[str, object]:
        """Returns the Keras layer's configuration and `frozen`."""
        return {**super().get_config(), "frozen": self.frozen}
