"""Which dtype the networks compute in; weights and files are float32 whatever it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from frcnn.model.faster_rcnn import FasterRCNN

# Probabilities and codes feed losses, box arithmetic and NMS, which need float32's range and precision.
FLOAT32_LAYERS = ("rpn_out_class", "rpn_out_regress", "dense_class_td", "dense_regress_td")


def set_precision(model: FasterRCNN, policy: str) -> None:
    """Makes the layers compute by a Keras dtype policy: `float32`, `mixed_bfloat16` or `mixed_float16`.

    Takes effect for functions traced afterwards.
    """
    for part in (model.features, model.roi_head):
        for layer in part.layers:
            if layer.name not in FLOAT32_LAYERS:
                layer.dtype_policy = policy


@contextmanager
def saved_as_float32(model: FasterRCNN) -> Iterator[None]:
    """Within it the layers' configurations say float32: a file need not know how it was trained."""
    before = {layer: layer.dtype_policy for part in (model.features, model.roi_head) for layer in part.layers}
    set_precision(model, "float32")
    try:
        yield
    finally:
        for layer, policy in before.items():
            layer.dtype_policy = policy
