"""Sets the dtype in which the networks compute. Weights and files are always float32."""

from collections.abc import Iterator
from contextlib import contextmanager

from frcnn.model.faster_rcnn import FasterRCNN

# Probabilities and deltas feed losses, box arithmetic and NMS, which need the range and precision of float32.
FLOAT32_LAYERS = ("rpn_out_class", "rpn_out_regress", "dense_class_td", "dense_regress_td")


def set_precision(model: FasterRCNN, policy: str) -> None:
    """Sets the dtype policy of all layers.

    Args:
        model: Detector.
        policy: Keras dtype policy: `float32`, `mixed_bfloat16` or `mixed_float16`. Takes effect for functions
            traced afterwards.
    """
    for part in (model.features, model.roi_head):
        for layer in part.layers:
            if layer.name not in FLOAT32_LAYERS:
                layer.dtype_policy = policy


@contextmanager
def saved_as_float32(model: FasterRCNN) -> Iterator[None]:
    """Sets the layers' configurations to float32 within the block, for saving."""
    before = {layer: layer.dtype_policy for part in (model.features, model.roi_head) for layer in part.layers}
    set_precision(model, "float32")
    try:
        yield
    finally:
        for layer, policy in before.items():
            layer.dtype_policy = policy
