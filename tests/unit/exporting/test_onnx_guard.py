"""ONNX files of strangers: nothing outside of them is read, and what does not add up is refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from frcnn.errors import ModelError
from frcnn.exporting.onnx_guard import load_guarded
from frcnn.inference.onnx_sessions import open_session
from frcnn.inference.runtime_choice import RuntimeChoice


def weight(kind=np.float32):
    return numpy_helper.from_array(np.zeros((4, 4, 3, 3), kind), "w")


def written(path, changed, *, in_node=False):
    """A model with that weight, as an initializer or as a constant of a node within an If."""
    ends = [helper.make_tensor_value_info(name, 1, [1, 4, 7, 7]) for name in ("images", "boxes")]
    nodes = [helper.make_node("Conv", ["images", "w"], ["boxes"], pads=[1] * 4)]
    if in_node:
        inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=changed)], "inner", [], [])
        nodes.append(helper.make_node("If", ["images"], ["i"], then_branch=inner, else_branch=inner))
        changed = weight()
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [changed])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def elsewhere(place):
    tensor = weight()
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", place), ("offset", "0"), ("length", "576")):
        tensor.external_data.add(key=key, value=value)
    return tensor


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int8, np.int64, np.bool_])
def test_a_model_whose_weights_are_in_it_is_loaded(tmp_path, kind):
    path = written(tmp_path / "m.onnx", weight(kind))
    assert load_guarded(path, path) == onnx.load(path)


@pytest.mark.parametrize("in_node", [False, True])
@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "missing", "beside"])
@pytest.mark.parametrize("fast", [False, True])
def test_weights_in_other_files_are_refused_and_not_read(tmp_path, place, in_node, fast):
    (tmp_path / "m").mkdir()
    (tmp_path / "secret").write_bytes(bytes(576))
    (tmp_path / "m" / "beside").write_bytes(bytes(576))
    path = written(tmp_path / "m" / "m.onnx", elsewhere(place), in_node=in_node)
    with pytest.raises(ModelError, match=r"m\.onnx: stores weights in another file") as caught:
        open_session(path, path, RuntimeChoice(fast_head=fast))
    assert place in str(caught.value)


@pytest.mark.parametrize("dims", [[1 << 30, 4, 3, 3], [4, 4, 3, 4], [-1, 4, 3, 3], [0], []])
def test_weights_of_another_size_than_their_shape_are_refused(tmp_path, dims):
    tensor = weight()
    tensor.dims[:] = dims
    path = written(tmp_path / "m.onnx", tensor)
    with pytest.raises(ModelError, match=r"m\.onnx: damaged: the weight 'w' has 576 bytes"):
        load_guarded(path, path)


@pytest.mark.parametrize(
    "data", [b"", b"\x08", b"\x3a\xff\xff\xff\xff\xff\x01x", b"\xff" * 100, b"PK\x03\x04"]
)
def test_what_is_no_onnx_file_is_said_to_be_none(tmp_path, data):
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    if data:
        with pytest.raises(ModelError, match=r"m\.onnx: not an ONNX file"):
            load_guarded(path, path)
