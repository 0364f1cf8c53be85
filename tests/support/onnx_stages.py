"""Hand-built stages of an exported graph, run by themselves."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from frcnn.exporting.onnx.graph_builder import GraphBuilder
from frcnn.exporting.onnx.standard_graph import OPSET


def run_stage(
    build: Callable[[GraphBuilder], None],
    inputs: dict[str, np.ndarray],
    outputs: Sequence[str],
) -> list[np.ndarray]:
    """Runs the nodes that `build` adds on `inputs`."""
    graph = GraphBuilder()
    build(graph)
    types = {np.float32: TensorProto.FLOAT, np.int32: TensorProto.INT32, bool: TensorProto.BOOL}
    kinds = {np.dtype(each): kind for each, kind in types.items()}
    sources = [
        helper.make_tensor_value_info(name, kinds[value.dtype], value.shape) for name, value in inputs.items()
    ]
    targets = [helper.make_empty_tensor_value_info(name) for name in outputs]
    return run_model(graph.model("stage", sources, targets, {"": OPSET}), inputs, outputs)


def run_model(
    model: onnx.ModelProto, inputs: dict[str, np.ndarray], outputs: Sequence[str] | None = None
) -> list[np.ndarray]:
    """Runs a model in ONNX Runtime."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(outputs, inputs)
