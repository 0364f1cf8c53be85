"""Exports the detector with three TensorRT plugins, as existing engines and DeepStream expect it.

The plugins ProposalDynamic, CropAndResizeDynamic and NMSDynamic_TRT compute proposals, RoI pooling and the
final NMS; only TensorRT runs this graph. They use coordinates in 0..1, sizes without the last pixel
and no clipping to the last pixel, so boxes differ slightly from those of the standard graph.
"""

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from frcnn.exporting.onnx.from_keras import FEATURE_TENSORS, HEAD_TENSORS, Part
from frcnn.exporting.onnx.graph_builder import GraphBuilder, floats, ints
from frcnn.exporting.onnx.standard_graph import MIN_PROPOSAL_SIDE, image_info
from frcnn.exporting.onnx.tensor_names import INPUT, PLUGIN_OUTPUTS
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.settings import DetectionSettings, Geometry
from frcnn.ops.roi_pool import LARGEST_COORDINATE

OPSET = 17
DOMAIN = "trt"
SCORES_NODE = "rpn_out_class/Sigmoid"
_CENTER_SIZE = 1  # codeType: dx, dy, dw, dh


def plugin_graph(
    model: FasterRCNN,
    settings: DetectionSettings,
    features: Part,
    head: Part,
    batch: int | str,
    *,
    opset: int = OPSET,
    score_bits: int = 0,
) -> Any:
    """Builds the detector as an ONNX model with plugins in the domain `trt`.

    The input is `input_image`, float32 `[B, C, H, W]`. Outputs are `nms_out`, float32 `[B, 1, K, 7]` (image,
    class, score, x1, y1, x2, y2 in 0..1), and `nms_out_1`, int32 `[B, 1, 1, 1]`, the number of detections.

    Args:
        model: Detector; its geometry is used.
        settings: Settings of proposals and final NMS, fixed in the graph.
        features: Result of `convert_features`.
        head: Result of `convert_head`.
        batch: Batch size, or a name for a free one.
        opset: Opset that the parts were converted to.
        score_bits: `nms_score_bits` of the spec.

    Returns:
        ONNX ModelProto.
    """
    geometry = model.geometry
    map_shape = model.features.outputs[0].shape[1:]
    graph = GraphBuilder()
    tensors = dict(zip(features.outputs, FEATURE_TENSORS, strict=True))
    graph.add_part(features.graph, "bb/", {features.inputs[0]: INPUT}, tensors)
    _add_proposal(graph, geometry, settings)
    count, size = settings.proposals.post_nms, geometry.crop_size
    crops = _add_crops(graph, geometry, map_shape)
    # Shape inference stops at plugins.
    graph.declare("rois", TensorProto.FLOAT, [batch, count, 4, 1])
    graph.declare("roi_crops", TensorProto.FLOAT, [batch, count, map_shape[-1], size, size])
    answers = dict(zip(head.outputs, HEAD_TENSORS, strict=True))
    graph.add_part(head.graph, "hd/", {head.inputs[0]: crops}, answers)
    _add_nms(graph, geometry, settings, score_bits)
    outputs = [
        helper.make_tensor_value_info("nms_out", TensorProto.FLOAT, [batch, 1, settings.max_detections, 7]),
        helper.make_tensor_value_info("nms_out_1", TensorProto.INT32, [batch, 1, 1, 1]),
    ]
    proto = graph.model("frcnn", [image_info(geometry, batch)], outputs, {"": opset, DOMAIN: 1})
    for node in proto.graph.node:
        if "rpn_scores" in node.output:
            node.name = SCORES_NODE
    return proto


def _add_proposal(graph: GraphBuilder, geometry: Geometry, settings: DetectionSettings) -> None:
    """Adds `rois`, `[B, R, 4, 1]`, y1, x1, y2, x2 in 0..1."""
    graph.add(
        "ProposalDynamic",
        *("rpn_scores", "rpn_codes"),
        name="proposal",
        output="rois",
        domain=DOMAIN,
        input_height=geometry.height,
        input_width=geometry.width,
        rpn_stride=geometry.stride,
        roi_min_size=MIN_PROPOSAL_SIDE,
        nms_iou_threshold=settings.proposals.iou_threshold,
        pre_nms_top_n=settings.proposals.pre_nms,
        post_nms_top_n=settings.proposals.post_nms,
        anchor_sizes=[float(each) for each in geometry.scales],
        anchor_ratios=[float(each) for each in geometry.ratios],
    )


def _add_crops(graph: GraphBuilder, geometry: Geometry, map_shape: tuple[int, int, int]) -> str:
    """Adds crops, `[B * R, D, P, P]`, from the plugin's `[B, R, D, P, P]`."""
    size, (rows, columns, depth) = geometry.crop_size, map_shape
    crops = graph.add(
        "CropAndResizeDynamic",
        *("features", add_positions(graph, geometry, rows, columns)),
        name="CropAndResize_plugin",
        output="roi_crops",
        domain=DOMAIN,
        crop_height=size,
        crop_width=size,
    )
    return graph.add("Reshape", crops, ints([-1, depth, size, size]), output="crops")


def add_positions(graph: GraphBuilder, geometry: Geometry, rows: int, columns: int) -> str:
    """Adds the RoIs relative to the last cell of the map, from `rois`, relative to the image's last pixel.

    Args:
        graph: Graph to extend.
        geometry: Geometry of the model.
        rows: Rows of the feature map.
        columns: Columns of the feature map.

    Returns:
        Name of the positions, `yxyx` in 0..1, `[B, R, 4, 1]`.
    """
    if not geometry.positions_by_stride:
        return "rois"
    sides = ((geometry.height, rows), (geometry.width, columns))
    shares = [(side - 1) / max(1, (cells - 1) * geometry.stride) for side, cells in sides]  # type: ignore[operator]
    scaled = graph.add("Mul", "rois", floats(shares * 2)[:, None])
    return graph.add("Min", scaled, np.float32(LARGEST_COORDINATE))


def _add_nms(graph: GraphBuilder, geometry: Geometry, settings: DetectionSettings, score_bits: int) -> None:
    """Adds the outputs `nms_out` and `nms_out_1`."""
    count, classes = settings.proposals.post_nms, len(geometry.class_names)
    graph.add_many(
        "NMSDynamic_TRT",
        2,
        *(_priors(graph, count), *_answers(graph, geometry, count)),
        name="NMS",
        outputs=PLUGIN_OUTPUTS,
        domain=DOMAIN,
        shareLocation=0,
        varianceEncodedInTarget=1,
        backgroundLabelId=classes,
        confidenceThreshold=settings.score_threshold,
        nmsThreshold=settings.iou_threshold,
        topK=count,
        keepTopK=settings.max_detections,
        codeType=_CENTER_SIZE,
        numClasses=classes + 1,
        inputOrder=[1, 2, 0],
        confSigmoid=0,
        isNormalized=1,
        scoreBits=score_bits,
    )


def _priors(graph: GraphBuilder, count: int) -> str:
    """Adds `prior_data`, `[B, 2, 4R, 1]`: x1, y1, x2, y2, and a second row of unused variances."""
    corners = graph.add("Gather", "rois", ints([1, 0, 3, 2]), axis=2)
    row = graph.add("Reshape", corners, ints([-1, 1, 4 * count, 1]))
    return graph.add("Concat", row, row, axis=1, output="prior_data")


def _answers(graph: GraphBuilder, geometry: Geometry, count: int) -> tuple[str, str]:
    """Adds `loc_data` `[B, 4R(C + 1), 1, 1]`, zero for background, and `conf_data` `[B, R(C + 1), 1, 1]`."""
    classes = len(geometry.class_names)
    codes = graph.add("Reshape", "box_codes", ints([-1, count, classes, 4]))
    scaled = graph.add("Div", codes, floats(geometry.code_weights))
    padded = graph.add("Pad", scaled, ints([0, 0, 0, 0, 0, 0, 1, 0]))
    places = ints([-1, 4 * count * (classes + 1), 1, 1])
    scores = ints([-1, count * (classes + 1), 1, 1])
    return (
        graph.add("Reshape", padded, places, output="loc_data"),
        graph.add("Reshape", "class_probabilities", scores, output="conf_data"),
    )
