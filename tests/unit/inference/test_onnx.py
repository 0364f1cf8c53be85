import dataclasses
import logging

import onnx
import pytest

from frcnn.errors import ModelError
from frcnn.exporting.exporter import ExportOptions, export_onnx, write_onnx
from frcnn.exporting.int8.qdq import insert_pairs
from frcnn.inference.model_kind import kind_of
from frcnn.inference.onnx import load_onnx_detector
from frcnn.settings.exporting import export_settings
from frcnn.settings.model import expected_model


def test_a_missing_file_is_named(exported, tmp_path):
    with pytest.raises(ModelError, match=r"gone\.onnx: no such model file"):
        load_onnx_detector(tmp_path / "gone.onnx", expected_model(exported.spec))


@pytest.mark.parametrize("content", [b"", b"not a protobuf", b"PK\x03\x04"])
def test_what_is_no_onnx_file_is_refused(exported, tmp_path, content):
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.onnx: (not|an) "):
        load_onnx_detector(tmp_path / "bad.onnx", expected_model(exported.spec))


def test_a_foreign_onnx_file_is_refused(exported, tmp_path):
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "other", [], [])), tmp_path / "other.onnx")
    with pytest.raises(ModelError, match="not a detector exported by this version"):
        load_onnx_detector(tmp_path / "other.onnx", expected_model(exported.spec))


def test_a_plugin_graph_is_refused(exported, converted_once, tmp_path):
    options = ExportOptions(graph="plugin", opset=18)
    write_onnx(export_onnx(exported.model, export_settings(exported.spec), options), tmp_path / "plugin.onnx")
    with pytest.raises(ModelError, match="only TensorRT runs"):
        load_onnx_detector(tmp_path / "plugin.onnx", expected_model(exported.spec))


def test_other_classes_than_the_specs_are_refused(exported):
    data = dataclasses.replace(exported.spec.dataset_config, target_class_mapping={"cat": "cat"})
    spec = dataclasses.replace(exported.spec, dataset_config=data)
    with pytest.raises(ModelError, match="exported for classes car, person; the spec maps to cat"):
        load_onnx_detector(exported.folder / "model.onnx", expected_model(spec))


def test_another_input_size_than_the_specs_is_refused(exported):
    image = exported.spec.model_config.input_image_config
    size = dataclasses.replace(image.size_height_width, height=256)
    image = dataclasses.replace(image, size_height_width=size)
    model = dataclasses.replace(exported.spec.model_config, input_image_config=image)
    with pytest.raises(ModelError, match=r"exported for input 128x160 .*; the spec says 256x160"):
        load_onnx_detector(
            exported.folder / "model.onnx",
            expected_model(dataclasses.replace(exported.spec, model_config=model)),
        )


def test_settings_that_differ_from_the_specs_are_said(exported, caplog):
    config = dataclasses.replace(exported.spec.inference_config, classifier_nms_max_boxes=7)
    spec = dataclasses.replace(exported.spec, inference_config=config)
    with caplog.at_level(logging.WARNING, "frcnn"):
        load_onnx_detector(exported.folder / "model.onnx", expected_model(spec, "inference"))
    assert "differ from inference_config" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "frcnn"):
        load_onnx_detector(exported.folder / "model.onnx", expected_model(exported.spec, "inference"))
    assert not caplog.text


def test_model_files_are_told_apart(exported, tmp_path):
    assert kind_of(exported.folder / "model.onnx") == "onnx"
    assert kind_of(exported.folder / "model.keras") == "keras"
    renamed = tmp_path / "keras_in_spite_of_its_name.onnx"
    renamed.write_bytes((exported.folder / "model.keras").read_bytes())
    assert kind_of(renamed) == "keras"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.tlt", "keras"), ("a.hdf5", "keras"), ("a.etlt", "onnx"), ("a.trt.int8", "engine"), ("a", "engine")],
)
def test_the_name_tells_what_the_content_does_not(tmp_path, name, kind):
    (tmp_path / name).write_bytes(b"ftrt\0anything")
    assert kind_of(tmp_path / name) == kind


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", "what I did: größer".encode()),
        ("metrics.json", b'{"mAP": 0.5}'),
        ("empty.engine", b""),
        ("photo.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
        ("model", b"# a file that is cut in the middle of a letter \xc3"),
    ],
)
def test_what_is_no_model_is_not_taken_for_an_engine(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name}: not a model; expected a trained one"):
        kind_of(tmp_path / name)


def test_binary_data_without_a_known_suffix_is_taken_for_an_engine(tmp_path):
    (tmp_path / "model.plan").write_bytes(b"ftrt\0\0\xff\x01" * 300)
    assert kind_of(tmp_path / "model.plan") == "engine"


@pytest.mark.parametrize(
    ("profile", "saturates", "said"),
    [("cpu", True, False), ("cpu_vnni", True, True), ("cpu_vnni", False, False)],
)
def test_weights_of_8_bits_are_warned_of_on_cpus_that_saturate(
    exported, tmp_path, monkeypatch, caplog, profile, saturates, said
):
    monkeypatch.setattr("frcnn.inference.onnx.saturates_int8", lambda: saturates)
    model = onnx.load(exported.folder / "model.onnx")
    names = ["input_image", *(name for node in model.graph.node for name in node.output)]
    write_onnx(insert_pairs(model, dict.fromkeys(names, (-4.0, 4.0)), profile), tmp_path / "int8.onnx")
    load_onnx_detector(tmp_path / "int8.onnx", None)
    assert ("int8.onnx: its INT8 weights use all 8 bits, and this CPU has no VNNI" in caplog.text) == said
