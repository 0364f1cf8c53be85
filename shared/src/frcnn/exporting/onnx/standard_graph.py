"""Exports the detector with standard ONNX operators only: no Loop, no If, no custom operators.

Two converted networks (`bb/`, `hd/`) are joined by hand-built nodes (`proposals/`, `roi_pool/`,
`detections/`, and `size/` for dynamic shapes), which always compute in float32.
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
    """Builds the detector as an ONNX model.

    The input is `input_image`, float32 `[B, C, H, W]`. With dynamic shape, a second input `image_size`, int32
    `[B, 2]`, gives the heights and widths of the images; the rest is padding. Outputs are `boxes`, float32
    `[B, K, 4]`, `scores`, float32 `[B, K]`, `classes`, int32 `[B, K]`, and `count`, int32 `[B]`.

    Args:
        model: Detector; its geometry and anchors are used.
        settings: Settings of proposals and final NMS, fixed in the graph.
        features: Result of `convert_features`.
        head: Result of `convert_head`.
        batch: Batch size, or a name for a free one.

    Returns:
        ONNX ModelProto.
    """
    geometry = model.geometry
    graph = GraphBuilder()
    tensors = dict(zip(features.outputs, FEATURE_TENSORS, strict=True))
    graph.add_part(features.graph, "bb/", {features.inputs[0]: INPUT}, tensors)
    extent = extent_of(graph, model)
    with graph.scope("proposals"):
        rois, found = add_proposals(graph, extent, geometry, settings)
    with graph.scope("roi_pool"):
        crops = add_roi_pool(graph, "features", rois, extent, geometry, settings.proposals.post_nms)
    answers = dict(zip(head.outputs, HEAD_TENSORS, strict=True))
    graph.add_part(head.graph, "hd/", {head.inputs[0]: crops}, answers)
    with graph.scope("detections"):
        add_detections(graph, rois, found, extent, geometry, settings)
    inputs = [image_info(geometry, batch), *([size_info(batch)] if geometry.dynamic else [])]
    return graph.model("frcnn", inputs, _outputs(batch, settings), {"": OPSET})


def image_info(geometry: Geometry, batch: int | str) -> Any:
    """Returns the ValueInfoProto of the image input."""
    sides = ["height", "width"] if geometry.dynamic else [geometry.height, geometry.width]
    note = "channels first; channel order, mean and scale applied; padded at the right and bottom"
    note = note if geometry.dynamic else note.rpartition(";")[0]
    shape = [batch, geometry.channels, *sides]
    return helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape, note)


def size_info(batch: int | str) -> Any:
    """Returns the ValueInfoProto of `image_size`, the second input of graphs with dynamic shape."""
    note = "height and width of each image in px; the rest is padding"
    return helper.make_tensor_value_info(SIZE_INPUT, TensorProto.INT32, [batch, 2], note)


def add_proposals(
    graph: GraphBuilder, extent: Extent, geometry: Geometry, settings: DetectionSettings
) -> tuple[str, str]:
    """Adds nodes equal to `frcnn.model.proposals`, from scores and `rpn_codes` to RoIs.

    Args:
        graph: Graph to extend.
        extent: Image sizes, anchors and scores.
        geometry: Geometry of the model.
        settings: Detection settings, of which those of the proposals are used.

    Returns:
        Names of RoIs, `yxyx`, `[B, R, 4]`, and of found, bool `[B, R]`.
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
    # NMS gets ranks instead of scores: saturated scores tie, and runtimes break ties differently.
    keys = add("Where", add("GreaterOrEqual", values, ZERO), ranks, ZERO)
    kept = survivors(graph, candidates, keys, wanted.iou_threshold, wanted.post_nms)
    _, places, found = best(graph, add("Mul", kept, keys), count, wanted.post_nms)
    return keep_rows(graph, found, gather_rows(graph, candidates, places), output="rois"), found


def add_roi_pool(
    graph: GraphBuilder, features: str, rois: str, extent: Extent, geometry: Geometry, count: int
) -> str:
    """Adds nodes equal to `frcnn.ops.roi_pool`, with a single RoIAlign.

    crop_and_resize samples both ends of a side and points evenly between them; RoIAlign, with one sample per
    bin, samples the centers of its bins. Extending a box by half a step at each end makes the points equal.

    Args:
        graph: Graph to extend.
        features: Feature map, `[B, D, h, w]`.
        rois: RoIs, `yxyx`, `[B, R, 4]`.
        extent: Image sizes.
        geometry: Geometry of the model; a crop has P cells per side.
        count: Number of RoIs per image, R.

    Returns:
        Name of the crops, `[B * R, D, P, P]`.
    """
    add, size = graph.add, geometry.crop_size
    relative = add(
        "Min", add("Div", rois, _crop_limit(graph, extent, geometry)), np.float32(LARGEST_COORDINATE)
    )
    on_map = add("Mul", relative, extent.last_cell)
    first, last = graph.add_many("Split", 2, on_map, axis=-1, num_outputs=2)
    half_step = add("Mul", add("Sub", last, first), np.float32(0.5 / (size - 1) if size > 1 else 0.0))
    # RoIAlign's half_pixel has cell centers at .5.
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


def _crop_limit(graph: GraphBuilder, extent: Extent, geometry: Geometry) -> Operand:
    """Returns y, x, y, x of the position in the image that lies at the last cell, px, at least 1."""
    limit = extent.limit
    if geometry.positions_by_stride:
        last, stride = extent.last_cell, np.float32(geometry.stride)
        limit = graph.add("Mul", last, stride) if isinstance(last, str) else np.multiply(last, stride)
    # An image may be one pixel high, and a map one cell.
    one = np.float32(1.0)
    return graph.add("Max", limit, one) if isinstance(limit, str) else np.maximum(limit, one)


def add_detections(
    graph: GraphBuilder,
    rois: str,
    found: str,
    extent: Extent,
    geometry: Geometry,
    settings: DetectionSettings,
) -> None:
    """Adds nodes equal to `frcnn.model.detections`, from class probabilities and box deltas to the outputs.

    Args:
        graph: Graph to extend.
        rois: RoIs, `yxyx`, `[B, R, 4]`.
        found: Whether each RoI exists, bool `[B, R]`.
        extent: Image sizes.
        geometry: Geometry of the model.
        settings: Score and IoU thresholds, and counts.
    """
    add, count, classes = graph.add, settings.proposals.post_nms, len(geometry.class_names)
    codes = add("Reshape", "box_codes", ints([-1, count, classes, 4]))
    scaled = add("Div", codes, floats(geometry.code_weights))
    decoded = decode(graph, scaled, add("Unsqueeze", rois, ints([2])), inclusive=True)
    limit = extent.limit
    if isinstance(limit, str):
        limit = add("Unsqueeze", limit, ints([1]))  # one limit for all classes
    boxes = clip(graph, decoded, limit)
    probabilities = add("Reshape", "class_probabilities", ints([-1, count, classes + 1]))
    scores = add("Slice", probabilities, ints([0]), ints([classes]), ints([2]))
    strong = add("Greater", scores, np.float32(settings.score_threshold))
    counts = add("And", add("Unsqueeze", found, ints([-1])), strong)
    scores = add("Where", counts, scores, ZERO)
    # Classes do not suppress each other, so each one becomes a row of the batch.
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
    """Returns the number of ranked boxes, the same as a tensor `[1]`, and the descending ranks as floats."""
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
