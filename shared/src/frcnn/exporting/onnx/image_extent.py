"""Where the images are in the network input and on the feature map: constants, or nodes that find out.

Letters as in `frcnn.ops`; S = A * h * w anchors in the order of scores [A, h, w]: kind, row, column.
"""

import dataclasses

import numpy as np
from onnx import TensorProto

from frcnn.exporting.onnx.graph_builder import GraphBuilder, Operand, floats, ints
from frcnn.exporting.onnx.tensor_names import SIZE_INPUT
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.settings import Geometry
from frcnn.ops.anchors import anchor_sizes


@dataclasses.dataclass(frozen=True)
class Extent:
    """What box arithmetic must know of the images' sizes.

    Attributes:
        limit: y, x, y, x of an image's last pixel, [4], or [B, 1, 4] if images have their own sizes.
        last_cell: The same of the last cell of the feature map that shows the image.
        anchors: [S, 4].
        scores: Of the anchors, [B, A, h, w]; -1 for those of padding.
        total: S, a number or a tensor [1].
    """

    limit: Operand
    last_cell: Operand
    anchors: Operand
    scores: str
    total: int | str


def fixed_extent(geometry: Geometry, cells: tuple[int, int], anchors: np.ndarray) -> Extent:
    """Of a static shape, whose feature map has `cells` h, w; `anchors` as `FasterRCNN.anchors`."""
    kinds = len(geometry.scales) * len(geometry.ratios)
    by_kind = anchors.reshape(-1, kinds, 4).transpose(1, 0, 2).reshape(-1, 4)
    limit, last = ([side - 1 for side in sides] * 2 for sides in ((geometry.height, geometry.width), cells))  # type: ignore[operator]
    return Extent(floats(limit), floats(last), by_kind, "rpn_scores", len(by_kind))


def found_extent(graph: GraphBuilder, geometry: Geometry) -> Extent:
    """Of a dynamic shape: from the input `image_size` int32 [B, 2], `features` and `rpn_scores`."""
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
    """Of a model's images, whichever its shape is; nodes stand under `size/`."""
    if model.geometry.dynamic:
        with graph.scope("size"):
            return found_extent(graph, model.geometry)
    rows, columns = model.features.outputs[0].shape[1:3]
    return fixed_extent(model.geometry, (rows, columns), model.anchors)


def _count(graph: GraphBuilder, length: str) -> str:
    """0, 1, ... below a scalar, as floats."""
    return graph.add("Cast", graph.add("Range", np.int64(0), length, np.int64(1)), to=TensorProto.FLOAT)


def _corners(graph: GraphBuilder, sides: str) -> str:
    """Sides [B, 2] minus 1, twice: [B, 1, 4]."""
    last = graph.add("Sub", sides, np.float32(1.0))
    return graph.add("Unsqueeze", graph.add("Concat", last, last, axis=-1), ints([1]))


def _anchors(graph: GraphBuilder, numbers: list[str], geometry: Geometry) -> str:
    """`frcnn.ops.anchors.anchors_of_map` in the order of the scores."""
    add, stride = graph.add, np.float32(geometry.stride)
    y, x = (add("Mul", add("Add", each, np.float32(0.5)), stride) for each in numbers)
    down = add("Mul", add("Unsqueeze", y, ints([1, 2])), floats([1, 0, 1, 0]))
    across = add("Mul", add("Unsqueeze", x, ints([1])), floats([0, 1, 0, 1]))
    half = anchor_sizes(geometry.scales, geometry.ratios)[:, ::-1] / 2
    offsets = np.concatenate([-half, half], axis=1)[:, None, None, :]
    return add("Reshape", add("Add", add("Add", down, across), offsets), ints([-1, 4]))


def _scores_of_images(graph: GraphBuilder, numbers: list[str], size: str, stride: np.float32) -> str:
    """`rpn_scores` [B, A, h, w] with -1 in the cells that show nothing but padding."""
    add = graph.add
    height, width = graph.add_many("Split", 2, size, axis=1, num_outputs=2)
    starts = [add("Mul", each, stride) for each in numbers]
    rows = add("Unsqueeze", add("Less", starts[0], height), ints([1, 3]))
    columns = add("Unsqueeze", add("Less", starts[1], width), ints([1, 2]))
    return add("Where", add("And", rows, columns), "rpn_scores", np.float32(-1.0))
