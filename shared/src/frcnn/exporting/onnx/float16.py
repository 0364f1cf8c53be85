"""Converts the two networks to float16; the nodes that join them stay in float32."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from frcnn.exporting.onnx.from_keras import Part

# Probabilities are computed in float32: in float16, thousands of RPN scores would tie at 1.
_WIDE_OUTPUTS = ("Sigmoid", "Softmax")


def to_half(part: Part) -> Part:
    """Converts weights and arithmetic of a part to float16; inputs and outputs stay float32."""
    source = part.graph
    wide = {
        node.output[0]
        for node in source.node
        if node.op_type in _WIDE_OUTPUTS and node.output[0] in part.outputs
    }
    names = {name: f"{name}/half" for name in (*part.inputs, *part.outputs) if name not in wide}
    nodes = [_cast(name, names[name], TensorProto.FLOAT16) for name in part.inputs]
    for node in source.node:
        copy = type(node)()
        copy.CopyFrom(node)
        copy.input[:] = [names.get(each, each) for each in node.input]
        if node.output[0] in wide:
            logits = f"{copy.input[0]}/wide"
            nodes.append(_cast(copy.input[0], logits, TensorProto.FLOAT))
            copy.input[0] = logits
        else:
            copy.output[:] = [names.get(each, each) for each in node.output]
            _narrow_attributes(copy)
        nodes.append(copy)
    nodes += [_cast(names[name], name, TensorProto.FLOAT) for name in part.outputs if name not in wide]
    constants = [_narrow(each) for each in source.initializer]
    graph = helper.make_graph(nodes, source.name, source.input, source.output, constants)
    return Part(graph, part.inputs, part.outputs)


def _cast(source: str, target: str, kind: int) -> Any:
    return helper.make_node("Cast", [source], [target], name=f"{target}/cast", to=kind)


def _narrow(tensor: Any) -> Any:
    if tensor.data_type != TensorProto.FLOAT:
        return tensor
    limit = np.finfo(np.float16).max
    value = np.clip(numpy_helper.to_array(tensor), -limit, limit).astype(np.float16)
    return numpy_helper.from_array(value, tensor.name)


def _narrow_attributes(node: Any) -> None:
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        elif node.op_type in ("Constant", "ConstantOfShape") and attribute.HasField("t"):
            attribute.t.CopyFrom(_narrow(attribute.t))
