"""Exported files whose record or graph was changed: each is refused in one sentence, or runs as before."""

import copy
import json

import numpy as np
import onnx
import pytest

import frcnn
from frcnn.errors import ModelError
from frcnn.exporting.record import ExportRecord

# A standard graph does not depend on anchors, and True is the number 1.
ACCEPTED = (
    *(("scales", []), ("ratios", []), ("positions_by_stride", True)),
    *(("auto_resize", True), ("visualize_threshold", True)),
)


def paths_in(record, path=()):
    """The path of each value that is no text of free choice."""
    for key, value in record.items():
        if isinstance(value, dict):
            yield from paths_in(value, (*path, key))
        yield (*path, key)


def changed(record, path, value):
    found = copy.deepcopy(record)
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return found


@pytest.fixture
def rewrite(exported, tmp_path):
    """Writes the exported file again after a change to its graph or record."""
    model = onnx.load(exported.folder / "model.onnx")
    (entry,) = [each for each in model.metadata_props if each.key == "frcnn"]

    def write(change=lambda model: None, record=None):
        other = onnx.ModelProto()
        other.CopyFrom(model)
        if record is not None:
            next(each for each in other.metadata_props if each.key == "frcnn").value = json.dumps(record)
        change(other)
        onnx.save(other, tmp_path / "changed.onnx")
        return tmp_path / "changed.onnx"

    return write, json.loads(entry.value)


def detect(path):
    with frcnn.load(path, device="cpu") as detector:
        found = detector.predict(np.zeros((128, 160, 3), np.uint8))
    assert set(found.label) <= set(detector.class_names)


def accepts(record):
    try:
        return ExportRecord.from_json(json.dumps(record)).images is not None
    except (ValueError, KeyError, TypeError):
        return False


def test_values_of_a_record_that_no_export_writes_are_refused(rewrite):
    _, record = rewrite
    assert accepts(record)
    for path in paths_in(record):
        if accepts(changed(record, path, "x")):
            assert path in (("graph",), ("precision",)), path
        for value in (None, True, [], {}, [None], float("nan")):
            if accepts(changed(record, path, value)):
                assert (path[-1], value) in ACCEPTED
    sides = [("geometry", name) for name in ("height", "width", "channels", "stride", "crop_size")]
    for path in [*sides, ("preprocessing", "height"), ("preprocessing", "channels")]:
        for value in (0, -1, 1.5):
            assert not accepts(changed(record, path, value)), path


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("geometry", None),
        ("geometry", []),
        ("settings", None),
        ("preprocessing", "x"),
        *(("class_names", names) for names in ([], [1, 2], "car", ["car", None], [["car"]])),
    ],
)
def test_a_record_of_other_values_is_refused_in_one_sentence(rewrite, field, value):
    write, record = rewrite
    path = ("geometry", field) if field == "class_names" else (field,)
    with pytest.raises(
        ModelError, match=r"not a detector exported by this version|by an incompatible version"
    ):
        detect(write(record=changed(record, path, value)))


def test_a_graph_that_finds_other_classes_than_its_record_has_is_refused(rewrite):
    write, record = rewrite
    names = record["geometry"]["class_names"]

    def shift(model):
        """Adds the number of classes to each class of the output."""
        (node,) = [each for each in model.graph.node if "classes" in each.output]
        place = list(node.output).index("classes")
        node.output[place] = "classes_before"
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.int32(len(names)), "shift"))
        model.graph.node.append(onnx.helper.make_node("Add", ["classes_before", "shift"], ["classes"]))

    with pytest.raises(ModelError, match="outputs are not detections of its classes"):
        detect(write(shift))


def dim_of_height(model):
    return model.graph.input[0].type.tensor_type.shape.dim[2]


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(dim_of_height(model), "dim_value", 64),
        lambda model: setattr(model.graph.input[0], "name", "other"),
        lambda model: model.graph.input.append(copy.deepcopy(model.graph.input[0])),
        lambda model: model.graph.ClearField("input"),
        lambda model: model.graph.ClearField("output"),
        lambda model: setattr(model.graph.output[0], "name", "other"),
        lambda model: setattr(model.graph.node[0], "op_type", "Other"),
        lambda model: setattr(model.graph.node[0], "domain", "other"),
        lambda model: model.graph.node[0].input.__setitem__(0, model.graph.node[-1].output[0]),
        lambda model: model.graph.node.pop(len(model.graph.node) // 2),
    ],
)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_changed_graph_is_refused(rewrite, change, runtime):
    write, _ = rewrite
    path = write(change)
    with pytest.raises(ModelError), frcnn.load(path, device="cpu", runtime=runtime) as detector:
        detector.predict(np.zeros((128, 160, 3), np.uint8))
