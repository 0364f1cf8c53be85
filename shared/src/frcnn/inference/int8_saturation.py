"""Recognizes INT8 files that x86 CPUs without VNNI compute wrongly.

These CPUs add two products of uint8 and int8 in 16 bits and saturate (see `frcnn.exporting.int8.qdq`).
"""

from typing import Any

import numpy as np

from frcnn.exporting.int8.qdq import EXACT_WEIGHT

WARNING = (
    "%s: its INT8 weights use all 8 bits, and this CPU has no VNNI, so sums saturate and scores are wrong. "
    "Export the model again with the INT8 profile cpu."
)


def has_saturating_weights(model: Any) -> bool:
    """Checks whether sums of products with the model's int8 weights may exceed 16 bits.

    Args:
        model: ONNX ModelProto with all of its weights.
    """
    from onnx import TensorProto, numpy_helper

    kernels = (
        each for each in model.graph.initializer if each.data_type == TensorProto.INT8 and len(each.dims) > 1
    )
    return any(
        int(np.abs(numpy_helper.to_array(each).astype(np.int16)).max(initial=0)) > EXACT_WEIGHT
        for each in kernels
    )
