"""The plugin graph, node by node: names, inputs, outputs, attributes and shapes that engines rely on."""

import numpy as np
import onnx
import pytest
from onnx import helper

from frcnn.exporting.exporter import ExportOptions, export_onnx
from frcnn.exporting.onnx.plugin_graph import add_positions
from frcnn.model.settings import Geometry
from frcnn.settings.exporting import export_settings
from tests.support.onnx_stages import run_stage


@pytest.fixture(scope="module")
def plugin(exported):
    with pytest.MonkeyPatch.context() as patch:
        for part in ("features", "head"):
            made = getattr(exported, part)
            patch.setattr(
                f"frcnn.exporting.exporter.convert_{part}", lambda model, opset, marks=(), made=made: made
            )
        return export_onnx(
            exported.model, export_settings(exported.spec), ExportOptions(graph="plugin", opset=18)
        )


@pytest.fixture(scope="module")
def nodes(plugin):
    return {node.name: node for node in plugin.graph.node}


def attributes(node):
    found = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    return {name: pytest.approx(value) for name, value in found.items()}


def test_proposal_takes_scores_and_codes_as_they_come(nodes):
    node = nodes["proposal"]
    assert (node.op_type, list(node.input), list(node.output)) == (
        *("ProposalDynamic", ["rpn_scores", "rpn_codes"], ["rois"]),
    )
    assert attributes(node) == {
        "input_height": 128,
        "input_width": 160,
        "rpn_stride": 16,
        "roi_min_size": 1.0,
        "nms_iou_threshold": 0.7,
        "pre_nms_top_n": 300,
        "post_nms_top_n": 40,
        "anchor_sizes": [32.0, 16.0, 64.0],
        "anchor_ratios": [1.0, 0.5, 2.0],
    }
    assert nodes["rpn_out_class/Sigmoid"].op_type == "Sigmoid"
    assert list(nodes["rpn_out_class/Sigmoid"].output) == ["rpn_scores"]


def test_pooling_takes_features_and_rois(nodes):
    node = nodes["CropAndResize_plugin"]
    assert (node.op_type, list(node.input)) == ("CropAndResizeDynamic", ["features", "rois"])
    assert attributes(node) == {"crop_height": 7, "crop_width": 7}


def test_positions_by_stride_are_scaled_before_the_pooling_plugin():
    geometry = Geometry(
        96, 160, 3, (16.0,), (1.0,), crop_size=7, class_names=("car",), positions_by_stride=True
    )
    pixels = np.float32([[[40, 0, 80, 144], [90, 16, 95, 159]]])[..., None]
    # The plugins' RoIs are relative to the last pixel.
    relative = pixels / np.float32([95, 159, 95, 159])[:, None]
    (found,) = run_stage(
        lambda graph: graph.add("Identity", add_positions(graph, geometry, 6, 10), output="positions"),
        {"rois": relative},
        ["positions"],
    )
    rows_and_columns = found[..., 0] * [5, 9, 5, 9]
    np.testing.assert_allclose(rows_and_columns, [[[2.5, 0, 5, 9], [5, 1, 5, 9]]], atol=1e-4)


def test_nms_has_priors_codes_and_scores_in_the_order_it_is_told(nodes):
    node = nodes["NMS"]
    assert node.op_type == "NMSDynamic_TRT"
    assert list(node.input) == ["prior_data", "loc_data", "conf_data"]
    assert list(node.output) == ["nms_out", "nms_out_1"]
    assert attributes(node) == {
        "shareLocation": 0,
        "varianceEncodedInTarget": 1,
        "backgroundLabelId": 2,
        "confidenceThreshold": 0.05,
        "nmsThreshold": 0.3,
        "topK": 40,
        "keepTopK": 30,
        "codeType": 1,
        "numClasses": 3,
        "inputOrder": [1, 2, 0],
        "confSigmoid": 0,
        "isNormalized": 1,
        "scoreBits": 0,
    }


def test_only_three_nodes_are_plugins(plugin):
    own = [node.op_type for node in plugin.graph.node if node.domain]
    assert own == ["ProposalDynamic", "CropAndResizeDynamic", "NMSDynamic_TRT"]
    assert {each.domain: each.version for each in plugin.opset_import} == {"": 18, "trt": 1}


def test_shapes_are_those_the_plugins_take(plugin):
    inferred = onnx.shape_inference.infer_shapes(plugin, data_prop=True).graph
    shapes = {
        each.name: [side.dim_value or side.dim_param for side in each.type.tensor_type.shape.dim]
        for each in (*inferred.value_info, *inferred.output)
    }
    count, classes = 40, 2
    assert shapes["rois"][1:] == [count, 4, 1]
    assert shapes["prior_data"][1:] == [2, 4 * count, 1]
    assert shapes["loc_data"][1:] == [4 * count * (classes + 1), 1, 1]
    assert shapes["conf_data"][1:] == [count * (classes + 1), 1, 1]
    assert shapes["nms_out"] == ["batch", 1, 30, 7]
    assert shapes["nms_out_1"] == ["batch", 1, 1, 1]


def test_nms_inputs_hold_the_right_numbers(plugin):
    """The plugins' own nodes cut out, what lies between them runs anywhere."""
    from tests.support.onnx_stages import run_model

    names = {"rois", "class_probabilities", "box_codes"}
    wanted = ("prior_data", "loc_data", "conf_data")
    cut = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(plugin)).extract_model(
        sorted(names), list(wanted)
    )
    random = np.random.default_rng(0)
    rois = random.random((2, 40, 4, 1)).astype(np.float32)
    scores, codes = (random.random((80, size)).astype(np.float32) for size in (3, 8))
    inputs = {"rois": rois, "class_probabilities": scores, "box_codes": codes}
    priors, locations, confidences = run_model(cut, inputs, wanted)
    np.testing.assert_array_equal(priors[1, 0, :4, 0], rois[1, 0, [1, 0, 3, 2], 0])
    by_class = locations.reshape(2, 40, 3, 4)
    np.testing.assert_allclose(by_class[1, 7, 1], codes[47, 4:8] / np.float32([10, 10, 5, 5]), rtol=1e-6)
    np.testing.assert_array_equal(by_class[:, :, 2], 0.0)
    np.testing.assert_array_equal(confidences.reshape(80, 3), scores)


def test_the_plugins_can_stand_in_the_default_domain(exported, converted_once):
    options = ExportOptions(graph="plugin", opset=18, plugin_domain="")
    proto = export_onnx(exported.model, export_settings(exported.spec), options)
    assert {node.domain for node in proto.graph.node} == {""}
    assert [each.domain for each in proto.opset_import] == [""]
