"""Restricts model configurations in files to known classes and bounded sizes.

Keras builds any class that a configuration names, in any size. Before Keras gets the configuration of a file,
`sanitize_config` checks every node and replaces initializers by `FromFile`, which counts the bytes of the
variables: a model must not be larger than the weights in its file.
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from frcnn.errors import ModelError
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import BatchNormalization, Conv2D
from frcnn.model.qat.layers import QDQ, QuantizedConv2D, QuantizedDense, QuantizedDepthwiseConv2D

_LAYERS = (
    *("Activation", "Add", "AveragePooling2D", "BatchNormalization", "Concatenate", "Conv2D", "Dense"),
    *("DepthwiseConv2D", "Dropout", "Flatten", "GlobalAveragePooling2D", "InputLayer", "LeakyReLU"),
    *("MaxPooling2D", "Multiply", "ReLU", "Reshape", "ZeroPadding2D"),
)
_INITIALIZERS = (
    *("Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Ones", "RandomNormal"),
    *("RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros"),
)
_ALLOWED = {
    *(("keras.layers", name) for name in _LAYERS),
    *(("keras.initializers", name) for name in _INITIALIZERS),
    *(("keras.regularizers", name) for name in ("L1", "L2", "L1L2")),
    ("keras", "DTypePolicy"),
    ("keras.src.models.functional", "Functional"),
    ("keras.models", "Functional"),
    (None, "__keras_tensor__"),
}
_PACKAGE = "frcnn>"
_OURS = {
    keras.saving.get_registered_name(each)
    for each in (
        *(FasterRCNN, BatchNormalization, Conv2D),
        *(QDQ, QuantizedConv2D, QuantizedDense, QuantizedDepthwiseConv2D),
    )
}
# The trainer compiles the model itself; shared objects may be separate, because they are equal.
_LEFT_OUT = ("compile_config", "shared_object_id")
_INITIALIZER = "_initializer"
_MAX_DEPTH = 40
_MAX_NODES = 2_000_000
_MAX_NUMBER = 1 << 24

_left: contextvars.ContextVar[float] = contextvars.ContextVar("bytes_left", default=math.inf)


@keras.saving.register_keras_serializable("frcnn")
class FromFile(keras.initializers.Initializer):
    """Initializer that returns zeros, to be replaced by the weights in the file."""

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> tf.Tensor:
        """Returns zeros; raises ModelError if the model is larger than its file."""
        dtype = dtype or "float32"
        left = _left.get() - math.prod(shape) * tf.as_dtype(dtype).size
        if left < 0:
            raise ModelError("the configuration describes a larger model than its weights")
        _left.set(left)
        return tf.zeros(shape, dtype)


@contextlib.contextmanager
def limit_variable_bytes(size: int) -> Iterator[None]:
    """Limits the total size of variables that are created within the block, in bytes."""
    token = _left.set(size)
    try:
        yield
    finally:
        _left.reset(token)


Initializers = dict[tuple[str, str], Any]


def sanitize_config(config: Any) -> tuple[Any, Initializers]:
    """Makes a model configuration from a file safe to build.

    Args:
        config: Deserialized JSON of the configuration.

    Returns:
        Tuple of the configuration with `FromFile` for every initializer, and the original initializers, keyed
        by (layer name, argument name).

    Raises:
        ModelError: A class is not allowed, or depth, length or a number exceeds its limit.
    """
    walk = _Walk()
    return walk.node(config, 0), walk.initializers


def restore_initializers(layers: list[keras.Layer], initializers: Initializers) -> None:
    """Restores the initializers that `sanitize_config` replaced.

    Args:
        layers: Layers of the model.
        initializers: Initializers from `sanitize_config`.
    """
    for layer in layers:
        for (name, argument), value in initializers.items():
            if name == layer.name:
                setattr(layer, argument, keras.initializers.get(value))


class _Walk:
    def __init__(self) -> None:
        self.initializers: Initializers = {}
        self._nodes = 0

    def node(self, node: Any, depth: int) -> Any:
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            raise ModelError("the configuration is nested more deeply or longer than any detector's")
        if isinstance(node, list):
            return [self.node(each, depth + 1) for each in node]
        if isinstance(node, dict):
            return self._object(node, depth)
        if isinstance(node, int | float) and not isinstance(node, bool) and not abs(node) <= _MAX_NUMBER:
            raise ModelError(f"the configuration contains the number {node}, which no detector needs")
        return node

    def _object(self, node: dict[str, Any], depth: int) -> dict[str, Any]:
        if "class_name" in node:
            _check_class(node)
        found = {key: self.node(value, depth + 1) for key, value in node.items() if key not in _LEFT_OUT}
        name = found.get("name")
        for key in found:
            if key.endswith(_INITIALIZER) and isinstance(name, str) and found[key] is not None:
                self.initializers[name, key] = found[key]
                found[key] = {
                    "module": __name__,
                    "class_name": "FromFile",
                    "config": {},
                    "registered_name": f"{_PACKAGE}FromFile",
                }
        return found


def _check_class(node: dict[str, Any]) -> None:
    module, name, registered = (node.get(key) for key in ("module", "class_name", "registered_name"))
    # Keras looks up the registered name first, then the class in any module that the file names.
    if registered in _OURS:
        return
    if (module, name) in _ALLOWED and registered in (None, name):
        return
    raise ModelError(f"the configuration names {module}.{name}, which no detector of this program uses")
