"""Box arithmetic as ONNX nodes, with the same steps as `frcnn.ops`.

Letters as in `frcnn.ops`; n is the batch, possibly times classes. Boxes are `yxyx` in pixels.
"""

import numpy as np
from onnx import numpy_helper

from frcnn.exporting.onnx.graph_builder import GraphBuilder, Operand, floats, ints
from frcnn.ops.box_coder import MAX_LOG_SCALE

ZERO = np.float32(0.0)


def decode(graph: GraphBuilder, codes: Operand, references: Operand, *, inclusive: bool) -> str:
    """Adds nodes equal to `frcnn.ops.box_coder.decode`.

    Args:
        graph: Graph to extend.
        codes: Deltas, `[..., 4]`.
        references: Reference boxes, `yxyx`, `[..., 4]`; both operands broadcast.
        inclusive: Whether sizes include the last pixel.

    Returns:
        Boxes, `yxyx`, `[..., 4]`.
    """
    add = graph.add
    shift_x, shift_y, log_width, log_height = graph.add_many("Split", 4, codes, axis=-1, num_outputs=4)
    y1, x1, y2, x2 = graph.add_many("Split", 4, references, axis=-1, num_outputs=4)
    edges = []
    for low, high, shift, log_size in ((y1, y2, shift_y, log_height), (x1, x2, shift_x, log_width)):
        side = add("Sub", high, low)
        if inclusive:
            side = add("Add", side, np.float32(1.0))
        center = add("Add", add("Add", low, add("Mul", side, np.float32(0.5))), add("Mul", shift, side))
        scale = add("Exp", add("Min", log_size, np.float32(MAX_LOG_SCALE)))
        half = add("Mul", add("Mul", side, scale), np.float32(0.5))
        edges.append((add("Sub", center, half), add("Add", center, half)))
    (top, bottom), (left, right) = edges
    return add("Concat", top, left, bottom, right, axis=-1)


def clip(graph: GraphBuilder, boxes: str, limit: Operand) -> str:
    """Adds nodes equal to `frcnn.ops.boxes.clip_boxes`; `limit` is y, x, y, x of the last pixel."""
    return graph.add("Min", graph.add("Max", boxes, ZERO), limit)


def gather_rows(graph: GraphBuilder, rows: str, index: str) -> str:
    """Gathers rows `[B, S, 4]` at indices `[B, K]`; returns `[B, K, 4]`."""
    return graph.add("GatherND", rows, graph.add("Unsqueeze", index, ints([-1])), batch_dims=1)


def survivors(graph: GraphBuilder, boxes: str, scores: str, iou_threshold: float, count: int) -> str:
    """Adds greedy NMS within each row.

    Runtimes differ in the order of the operator's results, so the order is not used.

    Args:
        graph: Graph to extend.
        boxes: Boxes, `yxyx`, `[n, S, 4]`.
        scores: Scores, `[n, S]`; boxes with scores <= 0 neither survive nor suppress.
        iou_threshold: Boxes with a higher IoU are suppressed.
        count: Maximum number of survivors per row.

    Returns:
        1.0 for survivors and 0.0 for others, float32 `[n, S]`.
    """
    per_class = graph.add("Unsqueeze", scores, ints([1]))
    limits = ints([count]), floats([iou_threshold]), floats([0.0])
    selected = graph.add("NonMaxSuppression", boxes, per_class, *limits)
    places = graph.add("Gather", selected, ints([0, 2]), axis=1)
    ones = _filled(graph, graph.add("Shape", selected, end=1), 1.0)
    zeros = _filled(graph, graph.add("Shape", scores), 0.0)
    return graph.add("ScatterND", zeros, places, ones)


def best(graph: GraphBuilder, keys: str, size: int | str, count: int) -> tuple[str, str, str]:
    """Selects the `count` largest positive keys.

    Args:
        graph: Graph to extend.
        keys: Keys, `[B, size]`.
        size: Number of keys per row; the name of a tensor `[1]` if it is known only at run time.
        count: Number of keys to select, K.

    Returns:
        Values, indices and whether found, each `[B, K]`. Values and indices of missing keys are 0.
    """
    if isinstance(size, str):
        missing = graph.add("Max", graph.add("Sub", ints([count]), size), ints([0]))
        keys = graph.add("Pad", keys, graph.add("Concat", ints([0, 0, 0]), missing, axis=0))
    elif size < count:
        keys = graph.add("Pad", keys, ints([0, 0, 0, count - size]))
    values, index = graph.add_many("TopK", 2, keys, ints([count]), axis=-1)
    found = graph.add("Greater", values, ZERO)
    return values, graph.add("Where", found, index, np.int64(0)), found


def keep_rows(graph: GraphBuilder, found: str, rows: str, **options: str) -> str:
    """Sets rows `[B, K, 4]` to zero where `found` `[B, K]` is false."""
    return graph.add("Where", graph.add("Unsqueeze", found, ints([-1])), rows, ZERO, **options)


def _filled(graph: GraphBuilder, shape: str, value: float) -> str:
    return graph.add("ConstantOfShape", shape, value=numpy_helper.from_array(floats([value])))
