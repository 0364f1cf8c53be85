"""Exported detectors of dynamic shape: one file for any batch and any size, equal to Keras."""

import dataclasses
import logging

import numpy as np
import onnx
import pytest
import tensorflow as tf

from frcnn.cli.main import main
from frcnn.errors import ModelError, UsageError
from frcnn.exporting.exporter import ExportOptions, export_onnx, write_onnx
from frcnn.exporting.onnx.image_extent import found_extent
from frcnn.exporting.onnx.standard_graph import add_roi_pool
from frcnn.inference.compare import Tolerance, compare_batches, compare_detectors
from frcnn.inference.onnx import load_onnx_detector
from frcnn.inference.runtime_choice import RuntimeChoice
from frcnn.model.files.checkpoint import save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.model.keras_detector import KerasDetector
from frcnn.model.settings import Geometry
from frcnn.ops.anchor_shapes import anchor_grid
from frcnn.ops.roi_pool import crop_and_resize
from frcnn.settings.data import image_settings
from frcnn.settings.exporting import export_settings
from frcnn.settings.model import detection_settings, expected_model
from tests.support.export_models import calibrated_model, export_spec
from tests.support.onnx_stages import run_stage
from tests.support.toy_training import scene

SIZES = np.int32([[128, 192], [144, 100], [97, 176]])


@dataclasses.dataclass(frozen=True)
class Dynamic:
    folder: object
    spec: object
    keras: KerasDetector
    onnx: object


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Dynamic:
    folder = tmp_path_factory.mktemp("dynamic")
    spec = export_spec(folder, dynamic=True)
    model = calibrated_model(spec)
    save_model(model, folder / "model.keras", TrainingRecord("resnet:10", spec.class_names))
    write_onnx(export_onnx(model, export_settings(spec), ExportOptions()), folder / "model.onnx")
    settings = detection_settings(spec.inference_config)
    exported = load_onnx_detector(folder / "model.onnx", expected_model(spec, "inference"))
    return Dynamic(folder, spec, KerasDetector(model, settings), exported)


def mosaics(count, height, width, seed=0):
    coarse = np.random.default_rng(seed).normal(0.0, 60.0, (count, -(-height // 16), -(-width // 16), 3))
    return coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width].astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 128, 192), (2, 320, 256), (1, 135, 211), (1, 64, 64)])
def test_finds_what_keras_finds_at_any_size(detector, shape):
    images = mosaics(*shape)
    expected, found = detector.keras(images), detector.onnx(images)
    assert expected.count.min() > 5
    assert compare_batches(expected, found, Tolerance(box=0.02, score=2e-4)).unmatched == 0.0


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("fast", [False, True])
def test_every_way_to_run_it_finds_the_same_at_any_size(detector, name, fast, caplog):
    pytest.importorskip(name)
    path, choice = detector.folder / "model.onnx", RuntimeChoice(name, fast_head=fast)
    with caplog.at_level(logging.INFO, "frcnn"):
        other = load_onnx_detector(path, expected_model(detector.spec, "inference"), runtime=choice)
    assert ("CPU form" in caplog.text) == fast
    for shape in ((1, 128, 192), (2, 135, 211)):
        images = mosaics(*shape)
        same = compare_batches(detector.onnx(images), other(images), Tolerance(box=0.05, score=1e-3))
        assert (same.expected > 5, same.unmatched) == (True, 0.0)


def test_finds_what_keras_finds_in_a_padded_batch(detector):
    images = mosaics(3, 192, 192)
    for image, (height, width) in zip(images, SIZES, strict=True):
        image[height:], image[:, width:] = 0.0, 0.0
    expected, found = detector.keras(images, SIZES), detector.onnx(images, SIZES)
    assert expected.count.min() > 5
    assert compare_batches(expected, found, Tolerance(box=0.02, score=2e-4)).unmatched == 0.0
    for image, (height, width) in enumerate(SIZES):
        assert (found.boxes[image] <= [height - 1, width - 1] * 2).all()


def test_inputs_are_free_in_batch_and_size(detector):
    graph = onnx.load(detector.folder / "model.onnx").graph
    shapes = {
        each.name: [side.dim_param or side.dim_value for side in each.type.tensor_type.shape.dim]
        for each in graph.input
    }
    assert shapes == {"input_image": ["batch", 3, "height", "width"], "image_size": ["batch", 2]}
    assert not {"Loop", "If", "Scan"} & {node.op_type for node in graph.node}


def test_a_fixed_batch_size_is_filled_up(detector, tmp_path):
    options = ExportOptions(batch_size=2)
    write_onnx(
        export_onnx(detector.keras.model, export_settings(detector.spec), options), tmp_path / "two.onnx"
    )
    images = mosaics(3, 192, 192)
    found = load_onnx_detector(tmp_path / "two.onnx", expected_model(detector.spec, "inference"))(
        images, SIZES
    )
    expected = detector.onnx(images, SIZES)
    np.testing.assert_array_equal(found.count, expected.count)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)


def test_anchors_of_the_graph_are_those_of_keras_kind_by_kind():
    geometry = Geometry(None, None, 3, (16.0, 48.0), (1.0, 2.0, 0.5), 7, ("car",), min_side=128)
    outputs = ["anchors", "total", "scores"]

    def build(graph):
        extent = found_extent(graph, geometry)
        for name in outputs:
            graph.add("Identity", getattr(extent, name), output=name)

    inputs = {
        "image_size": np.int32([[40, 81]]),
        "features": np.zeros((1, 2, 4, 6), np.float32),
        "rpn_scores": np.full((1, 6, 4, 6), 0.5, np.float32),
    }
    anchors, total, scores = run_stage(build, inputs, outputs)
    expected = anchor_grid(4, 6, geometry.scales, geometry.ratios)
    np.testing.assert_array_equal(anchors, expected.reshape(24, 6, 4).transpose(1, 0, 2).reshape(-1, 4))
    assert total.tolist() == [144]
    # 40 px are two and a half cells, 81 px five and a little.
    shown = np.zeros((4, 6), bool)
    shown[:3, :6] = True
    np.testing.assert_array_equal(scores[0], np.broadcast_to(np.where(shown, 0.5, -1.0), (6, 4, 6)))


@pytest.mark.parametrize("by_stride", [False, True])
def test_roi_pooling_of_images_of_different_sizes_is_that_of_keras(by_stride):
    geometry = Geometry(
        None, None, 3, (16.0,), (1.0,), 7, ("car",), min_side=128, positions_by_stride=by_stride
    )
    random = np.random.default_rng(2)
    sizes = np.int32([[40, 81], [64, 96], [1, 60]])
    features = random.normal(size=(3, 4, 6, 5)).astype(np.float32)
    corners = np.sort(random.random((3, 30, 2, 2)), axis=2).reshape(3, 30, 4)
    rois = (corners * (np.tile(sizes, 2)[:, None] - 1)).astype(np.float32)
    expected = crop_and_resize(
        features, rois, *tf.unstack(tf.constant(sizes), axis=1), 7, by_stride=by_stride
    )
    inputs = {
        "image_size": sizes,
        "features": np.ascontiguousarray(features.transpose(0, 3, 1, 2)),
        "rpn_scores": np.zeros((3, 1, 4, 6), np.float32),
        "rois": rois,
    }
    (found,) = run_stage(
        lambda graph: add_roi_pool(graph, "features", "rois", found_extent(graph, geometry), geometry, 30),
        inputs,
        ["crops"],
    )
    np.testing.assert_allclose(found, np.transpose(expected, (0, 3, 1, 2)), atol=1e-4)


def test_verify_compares_on_images_of_different_sizes(detector, tmp_path):
    for number, size in enumerate([(128, 160), (160, 128), (90, 400)]):
        (tmp_path / f"{number}.png").write_bytes(scene(number, *size).encoded)
    settings = image_settings(detector.spec)
    paths = sorted(tmp_path.iterdir())
    result = compare_detectors(
        detector.keras, detector.onnx, paths, settings, batch_size=2, tolerance=Tolerance()
    )
    assert result.images == 3 and result.matched > 10 and result.unmatched == 0.0


def test_the_plugin_graph_is_refused(detector):
    with pytest.raises(UsageError, match=r"graph plugin: .* one input size.*use the standard graph"):
        export_onnx(detector.keras.model, export_settings(detector.spec), ExportOptions(graph="plugin"))


def test_deepstream_files_are_refused_before_anything_is_written(detector, tmp_path, capsys):
    spec, model = detector.folder / "spec.txt", detector.folder / "model.keras"
    target = tmp_path / "out.onnx"
    arguments = ["export", "-e", str(spec), "-m", str(model), "-o", str(target), "--gen_ds_config"]
    assert main(arguments) == 2
    assert "--gen_ds_config: DeepStream needs one input size" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_spec_of_static_shape_is_refused(detector, tmp_path):
    static = export_spec(tmp_path)
    with pytest.raises(ModelError, match=r"exported for input size_min 128 px, .*; the spec says 128x160"):
        load_onnx_detector(detector.folder / "model.onnx", expected_model(static))


def test_settings_of_the_spec_are_in_the_file(detector, caplog):
    with caplog.at_level(logging.WARNING, "frcnn"):
        load_onnx_detector(detector.folder / "model.onnx", expected_model(detector.spec, "inference"))
    assert not caplog.text
    assert detector.onnx.record.geometry == detector.keras.model.geometry
    assert detector.onnx.record.preprocessing["min_side"] == 128
