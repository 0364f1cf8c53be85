"""The whole detector in standard ONNX operators: no Loop, no If, nothing a runtime has to be taught.

Two converted networks (`bb/`, `hd/`) are joined by hand-built nodes (`proposals/`, `roi_pool/`,
`detections/`), which always compute in float32.
"""

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from frcnn.export.box_nodes import ZERO, best, clip, decode, gather_rows, keep_rows, survivors
from frcnn.export.graph_builder import GraphBuilder, floats, ints
from frcnn.export.parts import FEATURE_TENSORS, HEAD_TENSORS, Part
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.settings import DetectionSettings, Geometry
from frcnn.ops.roi_pool import LARGEST_COORDINATE

OPSET = 18
INPUT = "input_image"
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

    Input `input_image` float32 [B, C, H, W]; outputs `boxes` float32 [B, K, 4], `scores` float32 [B, K],
    `classes` int32 [B, K], `count` int32 [B].

    Args:
        model: Whose geometry and anchors count.
        settings: Proposals and final NMS; fixed in the graph.
        features: From `convert_features`.
        head: From `convert_head`.
        batch: B, or a name if it may vary.
    """
    geometry = model.geometry
    rows, columns = model.features.outputs[0].shape[1:3]
    graph = GraphBuilder()
    tensors = dict(zip(features.outputs, FEATURE_TENSORS, strict=True))
    graph.add_part(features.graph, "bb/", {features.inputs[0]: INPUT}, tensors)
    with graph.scope("proposals"):
        rois, found = add_proposals(graph, _anchors_by_kind(model), geometry, settings)
    with graph.scope("roi_pool"):
        crops = add_roi_pool(graph, "features", rois, (rows, columns), geometry, settings.proposals.post_nms)
    answers = dict(zip(head.outputs, HEAD_TENSORS, strict=True))
    graph.add_part(head.graph, "hd/", {head.inputs[0]: crops}, answers)
    with graph.scope("detections"):
        add_detections(graph, rois, found, geometry, settings)
    return graph.model("frcnn", [image_info(geometry, batch)], _outputs(batch, settings), {"": OPSET})


def image_info(geometry: Geometry, batch: int | str) -> Any:
    """The graph's input."""
    shape = [batch, geometry.channels, geometry.height, geometry.width]
    note = "channels first; channel order, mean and scale applied"
    return helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape, note)


def add_proposals(
    graph: GraphBuilder, anchors: np.ndarray, geometry: Geometry, settings: DetectionSettings
) -> tuple[str, str]:
    """`frcnn.model.proposals`: from `rpn_scores`, `rpn_codes` to RoIs [B, R, 4] and found bool [B, R].

    Args:
        graph: Gets the nodes.
        anchors: [S, 4] in the order of the flattened scores: kind, row, column.
        geometry: Image size and coding.
        settings: Of which those of the proposals count.
    """
    add, wanted, total = graph.add, settings.proposals, len(anchors)
    kinds = len(geometry.scales) * len(geometry.ratios)
    scores = add("Reshape", "rpn_scores", ints([0, -1]))
    by_kind = add("Reshape", "rpn_codes", ints([0, kinds, 4, -1]))
    codes = add("Reshape", add("Transpose", by_kind, perm=[0, 1, 3, 2]), ints([0, -1, 4]))
    if geometry.std_scaling != 1.0:
        codes = add("Div", codes, np.float32(geometry.std_scaling))
    boxes = clip(graph, decode(graph, codes, anchors, inclusive=False), geometry.height, geometry.width)
    lows, highs = graph.add_many("Split", 2, boxes, axis=-1, num_outputs=2)
    shorter = add("ReduceMin", add("Sub", highs, lows), ints([-1]), keepdims=0)
    ranked = add("Where", add("Greater", shorter, np.float32(MIN_PROPOSAL_SIDE)), scores, np.float32(-1.0))
    count = min(wanted.pre_nms, total)
    values, index = graph.add_many("TopK", 2, ranked, ints([count]), axis=-1)
    candidates = gather_rows(graph, boxes, index)
    # NMS gets ranks for scores: saturated scores tie, and runtimes break ties differently.
    ranks = np.arange(count, 0, -1, dtype=np.float32)
    keys = add("Where", add("GreaterOrEqual", values, ZERO), ranks, ZERO)
    kept = survivors(graph, candidates, keys, wanted.iou_threshold, wanted.post_nms)
    _, places, found = best(graph, add("Mul", kept, keys), count, wanted.post_nms)
    return keep_rows(graph, found, gather_rows(graph, candidates, places), output="rois"), found


def add_roi_pool(
    graph: GraphBuilder, features: str, rois: str, cells: tuple[int, int], geometry: Geometry, count: int
) -> str:
    """`frcnn.ops.roi_pool`: crops [B * R, D, P, P] of features [B, D, h, w], by one RoIAlign.

    crop_and_resize samples at both ends of a side and evenly between, RoIAlign (one sample a bin) at
    the middle of its bins: a box wider by half a step at each end makes these the same points.

    Args:
        graph: Gets the nodes.
        features: Feature map.
        rois: [B, R, 4].
        cells: h, w.
        geometry: Image size and P.
        count: R.
    """
    add, size = graph.add, geometry.crop_size
    limit = floats([geometry.height - 1, geometry.width - 1] * 2)
    relative = add("Min", add("Div", rois, limit), np.float32(LARGEST_COORDINATE))
    on_map = add("Mul", relative, floats([cells[0] - 1, cells[1] - 1] * 2))
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
    graph: GraphBuilder, rois: str, found: str, geometry: Geometry, settings: DetectionSettings
) -> None:
    """`frcnn.model.detections`: from `class_probabilities`, `box_codes` to the graph's outputs.

    Args:
        graph: Gets the nodes.
        rois: [B, R, 4].
        found: bool [B, R].
        geometry: Image size, classes and coding.
        settings: Thresholds and counts.
    """
    add, count, classes = graph.add, settings.proposals.post_nms, len(geometry.class_names)
    codes = add("Reshape", "box_codes", ints([-1, count, classes, 4]))
    scaled = add("Div", codes, floats(geometry.code_weights))
    decoded = decode(graph, scaled, add("Unsqueeze", rois, ints([2])), inclusive=True)
    boxes = clip(graph, decoded, geometry.height, geometry.width)
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


def _anchors_by_kind(model: FasterRCNN) -> np.ndarray:
    """The anchors in the order of scores [A, h, w], the natural one with channels first."""
    kinds = len(model.geometry.scales) * len(model.geometry.ratios)
    return model.anchors.reshape(-1, kinds, 4).transpose(1, 0, 2).reshape(-1, 4)


def _outputs(batch: int | str, settings: DetectionSettings) -> list[Any]:
    slots = settings.max_detections
    kinds = {
        "boxes": (TensorProto.FLOAT, [batch, slots, 4]),
        "scores": (TensorProto.FLOAT, [batch, slots]),
        "classes": (TensorProto.INT32, [batch, slots]),
        "count": (TensorProto.INT32, [batch]),
    }
    return [helper.make_tensor_value_info(name, *kinds[name], note) for name, note in _OUTPUT_NOTES.items()]
