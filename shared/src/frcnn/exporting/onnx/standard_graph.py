"""The whole detector in standard ONNX operators: no Loop, no If, nothing a runtime has to be taught.

Two converted networks (`bb/`, `hd/`) are joined by hand-built nodes (`proposals/`, `roi_pool/`,
`detections/`; `size/` where the shape is dynamic), which always compute in float32.
"""

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from frcnn.exporting.onnx.box_nodes import ZERO, best, clip, decode, gather_rows, keep_rows, survivors
from frcnn.exporting.onnx.from_keras import FEATURE_TENSORS, HEAD_TENSORS, Part
from frcnn.exporting.onnx.graph_builder import GraphBuilder, Operand, floats, ints
from frcnn.exporting.onnx.image_extent import Extent, extent_of
from frcnn.exporting.onnx.tensor_names import INPUT, SIZE_INPUT
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.settings import DetectionSettings, Geometry
from frcnn.ops.roi_pool import LARGEST_COORDINATE

OPSET = 18
MIN_PROPOSAL_SIDE = 1.0  # px, as in frcnn.model.proposals
_OUTPUT_NOTES = {
    "boxes": "y1, x1, y2, x2 in pixels of the network input",
    "scores": "descending",
    "classes": "index into the class names; background is not among them",
    "count": "how many rows of the other outputs are detections; the rest are zero",
}


def standard_graph(
    model: FasterRCNN, settings: DetectionSettings, features: Part, head: Part, batch: int | str
) -> Any:
    """The detector as an ONNX ModelProto.

    Input `input_image` float32 [B, C, H, W], and where the shape is dynamic `image_size` int32 [B, 2], the
    heights and widths of the images, the rest being padding; outputs `boxes` float32 [B, K, 4],
    `scores` float32 [B, K], `classes` int32 [B, K], `count` int32 [B].

    Args:
        model: Whose geometry and anchors count.
        settings: Proposals and final NMS; fixed in the graph.
        features: From `convert_features`.
        head: From `convert_head`.
        batch: B, or a name if it may vary.
    """
    geometry = model.geometry
    graph = GraphBuilder()
    tensors = dict(zip(features.outputs, FEATURE_TENSORS, strict=True))
    graph.add_part(features.graph, "bb/", {features.inputs[0]: INPUT}, tensors)
    extent = extent_of(graph, model)
    with graph.scope("proposals"):
        rois, found = add_proposals(graph, extent, geometry, settings)
    with graph.scope("roi_pool"):
        crops = add_roi_pool(graph, "features", rois, extent, geometry.crop_size, settings.proposals.post_nms)
    answers = dict(zip(head.outputs, HEAD_TENSORS, strict=True))
    graph.add_part(head.graph, "hd/", {head.inputs[0]: crops}, answers)
    with graph.scope("detections"):
        add_detections(graph, rois, found, extent, geometry, settings)
    inputs = [image_info(geometry, batch), *([size_info(batch)] if geometry.dynamic else [])]
    return graph.model("frcnn", inputs, _outputs(batch, settings), {"": OPSET})


def image_info(geometry: Geometry, batch: int | str) -> Any:
    """The graph's input."""
    sides = ["height", "width"] if geometry.dynamic else [geometry.height, geometry.width]
    note = "channels first; channel order, mean and scale applied; padded at the right and bottom"
    note = note if geometry.dynamic else note.rpartition(";")[0]
    shape = [batch, geometry.channels, *sides]
    return helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape, note)


def size_info(batch: int | str) -> Any:
    """The second input of graphs of dynamic shape."""
    note = "height and width of each image in px; what lies beyond is padding"
    return helper.make_tensor_value_info(SIZE_INPUT, TensorProto.INT32, [batch, 2], note)


def add_proposals(
    graph: GraphBuilder, extent: Extent, geometry: Geometry, settings: DetectionSettings
) -> tuple[str, str]:
    """`frcnn.model.proposals`: from scores and `rpn_codes` to RoIs [B, R, 4] and found bool [B, R].

    Args:
        graph: Gets the nodes.
        extent: Where the images are; anchors and scores.
        geometry: Coding.
        settings: Of which those of the proposals count.
    """
    add, wanted = graph.add, settings.proposals
    kinds = len(geometry.scales) * len(geometry.ratios)
    scores = add("Reshape", extent.scores, ints([0, -1]))
    by_kind = add("Reshape", "rpn_codes", ints([0, kinds, 4, -1]))
    codes = add("Reshape", add("Transpose", by_kind, perm=[0, 1, 3, 2]), ints([0, -1, 4]))
    boxes = clip(graph, decode(graph, codes, extent.anchors, inclusive=False), extent.limit)
    lows, highs = graph.add_many("Split", 2, boxes, axis=-1, num_outputs=2)
    shorter = add("ReduceMin", add("Sub", highs, lows), ints([-1]), keepdims=0)
    ranked = add("Where", add("Greater", shorter, np.float32(MIN_PROPOSAL_SIDE)), scores, np.float32(-1.0))
    count, number, ranks = _ranks(graph, wanted.pre_nms, extent.total)
    values, index = graph.add_many("TopK", 2, ranked, number, axis=-1)
    candidates = gather_rows(graph, boxes, index)
    # NMS gets ranks for scores: saturated scores tie, and runtimes break ties differently.
    keys = add("Where", add("GreaterOrEqual", values, ZERO), ranks, ZERO)
    kept = survivors(graph, candidates, keys, wanted.iou_threshold, wanted.post_nms)
    _, places, found = best(graph, add("Mul", kept, keys), count, wanted.post_nms)
    return keep_rows(graph, found, gather_rows(graph, candidates, places), output="rois"), found


def add_roi_pool(graph: GraphBuilder, features: str, rois: str, extent: Extent, size: int, count: int) -> str:
    """`frcnn.ops.roi_pool`: crops [B * R, D, P, P] of features [B, D, h, w], by one RoIAlign.

    crop_and_resize samples at both ends of a side and evenly between, RoIAlign (one sample a bin) at
    the middle of its bins: a box wider by half a step at each end makes these the same points.

    Args:
        graph: Gets the nodes.
        features: Feature map.
        rois: [B, R, 4].
        extent: Where the images are.
        size: P.
        count: R.
    """
    add, limit = graph.add, extent.limit
    if isinstance(limit, str):
        limit = add("Max", limit, np.float32(1.0))  # an image may be one pixel high
    relative = add("Min", add("Div", rois, limit), np.float32(LARGEST_COORDINATE))
    on_map = add("Mul", relative, extent.last_cell)
    first, last = graph.add_many("Split", 2, on_map, axis=-1, num_outputs=2)
    half_step = add("Mul", add("Sub", last, first), np.float32(0.5 / (size - 1) if size > 1 else 0.0))
    # RoIAlign's half_pixel has cell centres at .5.
    start = add("Add", add("Sub", first, half_step), np.float32(0.5))
    end = add("Add", add("Add", last, half_step), np.float32(0.5))
    corners = add("Gather", add("Concat", start, end, axis=-1), ints([1, 0, 3, 2]), axis=-1)
    boxes = add("Reshape", corners, ints([-1, 4]))
    batch = add("Squeeze", add("Shape", rois, end=1))
    numbers = add("Unsqueeze", add("Range", np.int64(0), batch, np.int64(1)), ints([1]))
    owners = add("Reshape", add("Expand", numbers, ints([1, count])), ints([-1]))
    return add(
        "RoiAlign",
        *(features, boxes, owners),
        output="crops",
        coordinate_transformation_mode="half_pixel",
        mode="avg",
        output_height=size,
        output_width=size,
        sampling_ratio=1,
        spatial_scale=1.0,
    )


def add_detections(
    graph: GraphBuilder,
    rois: str,
    found: str,
    extent: Extent,
    geometry: Geometry,
    settings: DetectionSettings,
) -> None:
    """`frcnn.model.detections`: from `class_probabilities`, `box_codes` to the graph's outputs.

    Args:
        graph: Gets the nodes.
        rois: [B, R, 4].
        found: bool [B, R].
        extent: Where the images are.
        geometry: Classes and coding.
        settings: Thresholds and counts.
    """
    add, count, classes = graph.add, settings.proposals.post_nms, len(geometry.class_names)
    codes = add("Reshape", "box_codes", ints([-1, count, classes, 4]))
    scaled = add("Div", codes, floats(geometry.code_weights))
    decoded = decode(graph, scaled, add("Unsqueeze", rois, ints([2])), inclusive=True)
    limit = extent.limit
    if isinstance(limit, str):
        limit = add("Unsqueeze", limit, ints([1]))  # the same for all classes
    boxes = clip(graph, decoded, limit)
    probabilities = add("Reshape", "class_probabilities", ints([-1, count, classes + 1]))
    scores = add("Slice", probabilities, ints([0]), ints([classes]), ints([2]))
    strong = add("Greater", scores, np.float32(settings.score_threshold))
    counts = add("And", add("Unsqueeze", found, ints([-1])), strong)
    scores = add("Where", counts, scores, ZERO)
    # Classes do not suppress each other: each becomes a row of the batch.
    class_boxes = add("Reshape", add("Transpose", boxes, perm=[0, 2, 1, 3]), ints([-1, count, 4]))
    class_scores = add("Reshape", add("Transpose", scores, perm=[0, 2, 1]), ints([-1, count]))
    kept = survivors(graph, class_boxes, class_scores, settings.iou_threshold, settings.max_detections)
    by_class = add("Reshape", kept, ints([-1, classes, count]))
    mask = add("Transpose", by_class, perm=[0, 2, 1])
    keys = add("Reshape", add("Mul", mask, scores), ints([0, -1]))
    values, index, chosen = best(graph, keys, count * classes, settings.max_detections)
    flat = add("Reshape", boxes, ints([0, -1, 4]))
    keep_rows(graph, chosen, gather_rows(graph, flat, index), output="boxes")
    add("Identity", values, output="scores")
    add("Cast", add("Mod", index, np.int64(classes)), output="classes", to=TensorProto.INT32)
    number = add("ReduceSum", add("Cast", chosen, to=TensorProto.INT32), ints([1]), keepdims=0)
    add("Identity", number, output="count")


def _ranks(graph: GraphBuilder, most: int, total: int | str) -> tuple[int | str, Operand, Operand]:
    """How many of `total` boxes are ranked, that as a tensor [1], and their ranks, best first, as floats."""
    if isinstance(total, int):
        count = min(most, total)
        return count, ints([count]), np.arange(count, 0, -1, dtype=np.float32)
    number = graph.add("Min", total, ints([most]))
    ranks = graph.add("Range", graph.add("Squeeze", number), np.int64(0), np.int64(-1))
    return number, number, graph.add("Cast", ranks, to=TensorProto.FLOAT)


def _outputs(batch: int | str, settings: DetectionSettings) -> list[Any]:
    slots = settings.max_detections
    kinds = {
        "boxes": (TensorProto.FLOAT, [batch, slots, 4]),
        "scores": (TensorProto.FLOAT, [batch, slots]),
        "classes": (TensorProto.INT32, [batch, slots]),
        "count": (TensorProto.INT32, [batch]),
    }
    return [helper.make_tensor_value_info(name, *kinds[name], note) for name, note in _OUTPUT_NOTES.items()]
