"""Image sizes in the network input and on the feature map, as constants or as nodes.

Letters as in `frcnn.ops`; S = A * h * w anchors in the order of the scores `[A, h, w]`: kind, row, column.
"""

import dataclasses

import numpy as np
from onnx import TensorProto

from frcnn.exporting.onnx.graph_builder import GraphBuilder, Operand, floats, ints
from frcnn.exporting.onnx.tensor_names import SIZE_INPUT
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.settings import Geometry
from frcnn.ops.anchor_shapes import anchor_sizes


@dataclasses.dataclass(frozen=True)
class Extent:
    """Image sizes as needed by the box arithmetic.

    Attributes:
        limit: y, x, y, x of an image's last pixel, `[4]`, or `[B, 1, 4]` if images have their own sizes.
        last_cell: y, x, y, x of the last feature map cell that shows the image, same shapes.
        anchors: Anchors, `yxyx` in pixels, `[S, 4]`.
        scores: Scores of the anchors, `[B, A, h, w]`; -1 for anchors in padding.
        total: S, as a number or a tensor `[1]`.
    """

    limit: Operand
    last_cell: Operand
    anchors: Operand
    scores: str
    total: int | str


def fixed_extent(geometry: Geometry, cells: tuple[int, int], anchors: np.ndarray) -> Extent:
    """Returns the extent of a static shape.

    Args:
        geometry: Geometry of the model.
        cells: Rows and columns of the feature map.
        anchors: Anchors in the order of `FasterRCNN.anchors`.
    """
    kinds = len(geometry.scales) * len(geometry.ratios)
    by_kind = anchors.reshape(-1, kinds, 4).transpose(1, 0, 2).reshape(-1, 4)
    limit, last = ([side - 1 for side in sides] * 2 for sides in ((geometry.height, geometry.width), cells))  # type: ignore[operator]
    return Extent(floats(limit), floats(last), by_kind, "rpn_scores", len(by_kind))


def found_extent(graph: GraphBuilder, geometry: Geometry) -> Extent:
    """Adds nodes that compute the extent from `image_size`, `features` and `rpn_scores`."""
    add, stride = graph.add, np.float32(geometry.stride)
    size = add("Cast", SIZE_INPUT, to=TensorProto.FLOAT)
    cells = add("Shape", "features", start=2)
    on_map = add("Cast", cells, to=TensorProto.FLOAT)
    own_cells = add("Min", add("Ceil", add("Div", size, stride)), on_map)
    numbers = [_count(graph, add("Gather", cells, np.int64(axis))) for axis in (0, 1)]
    anchors = _anchors(graph, numbers, geometry)
    return Extent(
        limit=_corners(graph, size),
        last_cell=_corners(graph, own_cells),
        anchors=anchors,
        scores=_scores_of_images(graph, numbers, size, stride),
        total=add("Shape", anchors, end=1),
    )


def extent_of(graph: GraphBuilder, model: FasterRCNN) -> Extent:
    """Returns the extent of a model's images, static or dynamic. Its nodes are named `size/...`."""
    if model.geometry.dynamic:
        with graph.scope("size"):
            return found_extent(graph, model.geometry)
    rows, columns = model.features.outputs[0].shape[1:3]
    return fixed_extent(model.geometry, (rows, columns), model.anchors)


def _count(graph: GraphBuilder, length: str) -> str:
    """Adds 0, 1, ... below a scalar, as floats."""
    return graph.add("Cast", graph.add("Range", np.int64(0), length, np.int64(1)), to=TensorProto.FLOAT)


def _corners(graph: GraphBuilder, sides: str) -> str:
    """Adds sides `[B, 2]` minus 1, repeated to `[B, 1, 4]`."""
    last = graph.add("Sub", sides, np.float32(1.0))
    return graph.add("Unsqueeze", graph.add("Concat", last, last, axis=-1), ints([1]))


def _anchors(graph: GraphBuilder, numbers: list[str], geometry: Geometry) -> str:
    """Adds the anchors of `frcnn.ops.anchors.anchors_of_map` in the order of the scores."""
    add, stride = graph.add, np.float32(geometry.stride)
    y, x = (add("Mul", add("Add", each, np.float32(0.5)), stride) for each in numbers)
    down = add("Mul", add("Unsqueeze", y, ints([1, 2])), floats([1, 0, 1, 0]))
    across = add("Mul", add("Unsqueeze", x, ints([1])), floats([0, 1, 0, 1]))
    half = anchor_sizes(geometry.scales, geometry.ratios)[:, ::-1] / 2
    offsets = np.concatenate([-half, half], axis=1)[:, None, None, :]
    return add("Reshape", add("Add", add("Add", down, across), offsets), ints([-1, 4]))


def _scores_of_images(graph: GraphBuilder, numbers: list[str], size: str, stride: np.float32) -> str:
    """Adds `rpn_scores` `[B, A, h, w]` with -1 in cells that show only padding."""
    add = graph.add
    height, width = graph.add_many("Split", 2, size, axis=1, num_outputs=2)
    starts = [add("Mul", each, stride) for each in numbers]
    rows = add("Unsqueeze", add("Less", starts[0], height), ints([1, 3]))
    columns = add("Unsqueeze", add("Less", starts[1], width), ints([1, 2]))
    return add("Where", add("And", rows, columns), "rpn_scores", np.float32(-1.0))
