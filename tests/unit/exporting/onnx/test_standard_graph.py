"""The exported graph against Keras: the whole, and each hand-built stage where the whole hides its faults."""

import dataclasses
from collections import Counter

import numpy as np
import onnx
import pytest

from frcnn.exporting.onnx.image_extent import fixed_extent
from frcnn.exporting.onnx.standard_graph import add_detections, add_proposals, add_roi_pool
from frcnn.inference.onnx import load_onnx_detector
from frcnn.model.detections import generate_detections
from frcnn.model.keras_detector import KerasDetector
from frcnn.model.proposals import generate_proposals
from frcnn.model.settings import DetectionSettings, Geometry, ProposalSettings
from frcnn.ops.anchor_shapes import anchor_grid
from frcnn.ops.roi_pool import crop_and_resize
from frcnn.settings.model import detection_settings, expected_model
from tests.support.export_models import noise
from tests.support.onnx_stages import run_stage

GEOMETRY = Geometry(
    height=128,
    width=160,
    channels=3,
    scales=(16.0, 48.0),
    ratios=(1.0, 2.0),
    crop_size=7,
    class_names=("car", "person", "tree"),
)
ROWS, COLUMNS, KINDS = 8, 10, 4
ANCHORS = anchor_grid(ROWS, COLUMNS, GEOMETRY.scales, GEOMETRY.ratios)
EXTENT = fixed_extent(GEOMETRY, (ROWS, COLUMNS), ANCHORS)
ALLOWED = {
    *("Conv", "Relu", "Add", "MaxPool", "AveragePool", "Sigmoid", "Softmax", "MatMul", "Reshape"),
    *("Mul", "Sub", "Div", "Min", "Max", "Exp", "Mod", "Greater", "GreaterOrEqual", "And", "Where", "Cast"),
    *("Split", "Concat", "Slice", "Gather", "GatherND", "ScatterND", "Transpose", "Unsqueeze", "Squeeze"),
    *("Shape", "Range", "Expand", "ConstantOfShape", "Pad", "Identity", "ReduceMin", "ReduceSum", "TopK"),
    *("NonMaxSuppression", "RoiAlign"),
}


@pytest.fixture(scope="module")
def detectors(exported):
    """The Keras model and the exported file, as detectors."""
    settings = detection_settings(exported.spec.inference_config)
    found = load_onnx_detector(exported.folder / "model.onnx", expected_model(exported.spec, "inference"))
    return KerasDetector(exported.model, settings), found


@pytest.fixture(scope="module")
def graph(exported):
    return onnx.load(exported.folder / "model.onnx").graph


@pytest.mark.parametrize("batch", [1, 3])
def test_finds_what_keras_finds(exported, detectors, batch):
    images = noise(np.random.default_rng(batch), batch, exported.spec)
    expected, found = (detector(images) for detector in detectors)
    assert expected.count.min() > 10
    assert set(expected.classes.ravel()) == {0, 1}
    np.testing.assert_array_equal(found.count, expected.count)
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.01)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


def test_images_of_a_batch_do_not_see_each_other(exported, detectors):
    images = noise(np.random.default_rng(5), 3, exported.spec)
    together = detectors[1](images)
    for index in range(3):
        alone = detectors[1](images[index : index + 1])
        np.testing.assert_allclose(together.boxes[index], alone.boxes[0], atol=1e-3)
        np.testing.assert_allclose(together.scores[index], alone.scores[0], atol=1e-5)


def test_any_runtime_knows_its_operators(graph):
    operators = Counter(node.op_type for node in graph.node)
    assert set(operators) <= ALLOWED
    assert {node.domain for node in graph.node} == {""}
    assert (operators["NonMaxSuppression"], operators["RoiAlign"]) == (2, 1)


def test_the_networks_hold_nothing_but_layers(graph):
    layers = Counter(node.op_type for node in graph.node if node.name.startswith(("bb/", "hd/")))
    # No transpositions, no batch normalization or scale left of one, no padding by itself.
    assert set(layers) == {
        *("Conv", "Relu", "Add", "MaxPool", "AveragePool", "Sigmoid", "Softmax", "MatMul", "Reshape")
    }
    assert layers["Conv"] == 16


def test_inputs_and_outputs_are_named_and_shaped(graph):
    def described(values):
        return {
            each.name: [side.dim_param or side.dim_value for side in each.type.tensor_type.shape.dim]
            for each in values
        }

    assert described(graph.input) == {"input_image": ["batch", 3, 128, 160]}
    assert described(graph.output) == {
        "boxes": ["batch", 30, 4],
        "scores": ["batch", 30],
        "classes": ["batch", 30],
        "count": ["batch"],
    }


def proposals_of(scores, codes, pre_nms, post_nms):
    """RoIs and their validity, of Keras and of the graph."""
    settings = DetectionSettings(ProposalSettings(pre_nms, post_nms, 0.7), 0.1, 0.3, 10)
    names = []

    def build(graph):
        names.extend(add_proposals(graph, EXTENT, GEOMETRY, settings))
        graph.add("Identity", names[1], output="found")

    inputs = {
        "rpn_scores": np.ascontiguousarray(scores.transpose(0, 3, 1, 2)),
        "rpn_codes": np.ascontiguousarray(codes.transpose(0, 3, 1, 2)),
    }
    found = run_stage(build, inputs, ["rois", "found"])
    expected = generate_proposals(
        scores, codes, ANCHORS, height=128, width=160, pre_nms=pre_nms, post_nms=post_nms, iou_threshold=0.7
    )
    return [each.numpy() for each in expected], found


def random_rpn(levels, seed=0):
    """Scores with so many different values (1: all equal), and codes."""
    random = np.random.default_rng(seed)
    scores = np.ceil(random.random((2, ROWS, COLUMNS, KINDS)) * levels) / levels
    codes = random.normal(0.0, 0.4, (2, ROWS, COLUMNS, 4 * KINDS))
    return scores.astype(np.float32), codes.astype(np.float32)


@pytest.mark.parametrize("levels", [1, 8, 10**6])
def test_proposals_with_equal_scores_are_those_of_keras(levels):
    expected, found = proposals_of(*random_rpn(levels), pre_nms=150, post_nms=60)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-3)
    np.testing.assert_array_equal(found[1], expected[1])


def test_there_may_be_fewer_anchors_than_proposals():
    expected, found = proposals_of(*random_rpn(8), pre_nms=6000, post_nms=350)
    assert not expected[1].all()
    np.testing.assert_allclose(found[0], expected[0], atol=1e-3)
    np.testing.assert_array_equal(found[1], expected[1])


def test_an_image_may_have_no_proposal_at_all():
    scores, codes = random_rpn(8)
    codes[1] = -9.0  # every box smaller than a pixel, or out of the image
    expected, found = proposals_of(scores, codes, pre_nms=150, post_nms=20)
    assert expected[1][0].any()
    assert not found[1][1].any()
    np.testing.assert_array_equal(found[0][1], 0.0)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-3)


def awkward_boxes(count):
    """Boxes of all sizes, at every border, of no size and under 2 px, [2, count, 4]."""
    random = np.random.default_rng(3)
    limit = np.float32([127, 159, 127, 159])
    corners = np.sort(random.random((2, count, 2, 2)), axis=2).reshape(2, count, 4) * limit
    corners[:, ::5, :2] = 0.0
    corners[:, 1::5, 2:] = limit[2:]
    corners[:, 2::5, 2:] = corners[:, 2::5, :2] + random.random((2, len(corners[0, 2::5]), 2)) * 2
    corners[:, 3] = limit
    corners[:, 4] = 0.0
    return np.clip(corners, 0.0, limit).astype(np.float32)


@pytest.mark.parametrize("by_stride", [False, True])
def test_roi_pooling_samples_where_keras_samples(by_stride):
    geometry = dataclasses.replace(GEOMETRY, positions_by_stride=by_stride)
    features = np.random.default_rng(1).normal(size=(2, ROWS, COLUMNS, 5)).astype(np.float32)
    rois = awkward_boxes(200)
    expected = crop_and_resize(features, rois, 128, 160, 7, by_stride=by_stride).numpy().transpose(0, 3, 1, 2)
    inputs = {"features": np.ascontiguousarray(features.transpose(0, 3, 1, 2)), "rois": rois}
    (found,) = run_stage(
        lambda graph: add_roi_pool(graph, "features", "rois", EXTENT, geometry, 200),
        inputs,
        ["crops"],
    )
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(("levels", "slots"), [(1, 50), (6, 50), (10**6, 50), (6, 400)])
def test_detections_with_equal_scores_are_those_of_keras(levels, slots):
    random = np.random.default_rng(2)
    rois, valid = awkward_boxes(80), random.random((2, 80)) > 0.2
    probabilities = (np.ceil(random.random((2, 80, 4)) * levels) / levels).astype(np.float32)
    codes = random.normal(0.0, 2.0, (2, 80, 3, 4)).astype(np.float32)
    settings = DetectionSettings(ProposalSettings(100, 80, 0.7), 0.3, 0.4, slots)
    names = ["boxes", "scores", "classes", "count"]
    inputs = {
        "rois": rois,
        "valid": valid,
        "class_probabilities": probabilities.reshape(-1, 4),
        "box_codes": codes.reshape(-1, 12),
    }
    found = run_stage(
        lambda graph: add_detections(graph, "rois", "valid", EXTENT, GEOMETRY, settings), inputs, names
    )
    expected = generate_detections(
        rois,
        valid,
        probabilities,
        codes,
        height=128,
        width=160,
        score_threshold=0.3,
        iou_threshold=0.4,
        max_detections=slots,
        code_weights=GEOMETRY.code_weights,
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-3)
