"""Folds constants: kernels in another layout, arithmetic after a convolution, zero padding before a node.

The converter does most of this, but in some graphs it leaves batch normalization after a biased
convolution as Mul and Add. These cost time and place INT8 ranges at the wrong tensor.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import helper, numpy_helper


def folded(graph: Any, weights: Mapping[str, np.ndarray] | None = None) -> Any:
    """Simplifies a graph. Results are equal up to rounding.

    Weights stay NumPy arrays until the new graph gets the final ones: a protobuf message does not free what
    is replaced or deleted in it before the whole message is freed.

    Args:
        graph: ONNX GraphProto. Its nodes are modified.
        weights: Values of those inputs that shall become constants.

    Returns:
        The simplified GraphProto.
    """
    return _Folder(graph, weights or {}).run()


class _Folder:
    def __init__(self, graph: Any, weights: Mapping[str, np.ndarray]) -> None:
        self.graph, self.weights = graph, weights
        self.constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer} | {**weights}
        self.producers = {name: node for node in graph.node for name in node.output}
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.outputs = {each.name for each in graph.output}
        self.uses.update(self.outputs)

    def run(self) -> Any:
        kept = [node for node in self.graph.node if not self._fold(node)]
        used = {name for node in kept for name in node.input}
        inputs = [each for each in self.graph.input if each.name not in self.weights]
        graph = helper.make_graph(
            kept, self.graph.name, inputs, self.graph.output, value_info=self.graph.value_info
        )
        for name in list(self.constants):
            value = self.constants.pop(name)
            if name in used:
                graph.initializer.append(numpy_helper.from_array(value, name))
        return graph

    def _fold(self, node: Any) -> bool:
        """Folds a node if possible; returns whether it did."""
        if node.op_type in ("Transpose", "Reshape"):
            return self._fold_move(node)
        if node.op_type in ("Mul", "Add"):
            return self._fold_scale(node)
        if node.op_type == "BatchNormalization":
            return self._fold_normalization(node)
        if node.op_type == "Pad":
            return self._fold_pad(node)
        return False

    def _fold_move(self, node: Any) -> bool:
        """Transposes or reshapes a constant."""
        values = [self._value(name) for name in node.input]
        if any(value is None for value in values) or node.output[0] in self.outputs:
            return False
        if node.op_type == "Reshape" and 0 in values[1]:  # which means the length before
            return False
        if node.op_type == "Transpose":
            order = next((each.ints for each in node.attribute if each.name == "perm"), None)
            value = values[0].transpose(order)
        else:
            value = values[0].reshape(values[1])
        self.constants[node.output[0]] = value
        return True

    def _fold_scale(self, node: Any) -> bool:
        for tensor, other in (tuple(node.input), tuple(reversed(node.input))):
            convolution = self._only_convolution(tensor)
            value = self._value(other)
            if convolution is None or value is None:
                continue
            filters = self._value(convolution.input[1]).shape[0]
            if value.size != 1 and value.shape not in ((filters, 1, 1), (1, filters, 1, 1)):
                continue
            vector = np.broadcast_to(value.reshape(-1), (filters,))
            one, zero = np.ones(filters, np.float32), np.zeros(filters, np.float32)
            self._absorb(convolution, node, *((vector, zero) if node.op_type == "Mul" else (one, vector)))
            return True
        return False

    def _fold_normalization(self, node: Any) -> bool:
        convolution = self._only_convolution(node.input[0])
        values = [self._value(name) for name in node.input[1:]]
        if convolution is None or any(value is None for value in values) or len(node.output) > 1:
            return False
        gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in values)
        epsilon = next((each.f for each in node.attribute if each.name == "epsilon"), 1e-5)
        scale = gamma / np.sqrt(variance + epsilon)
        self._absorb(convolution, node, scale, beta - mean * scale)
        return True

    def _absorb(self, convolution: Any, node: Any, scale: np.ndarray, offset: np.ndarray) -> None:
        """Makes `convolution` compute scale * x + offset, under the name of `node`'s output."""
        kernel = self._value(convolution.input[1])
        bias = self._value(convolution.input[2]) if len(convolution.input) > 2 else 0.0
        name = node.output[0]
        weights = [f"{name}/kernel", f"{name}/bias"]
        values = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1)), bias * scale + offset
        for each, value in zip(weights, values, strict=True):
            self.constants[each] = value.astype(np.float32)
        convolution.input[:] = [convolution.input[0], *weights]
        convolution.output[0] = name
        self.producers[name] = convolution

    def _fold_pad(self, node: Any) -> bool:
        """Moves zero padding into a convolution, or into a max-pooling of values that are not negative."""
        consumer, source = self._only_consumer(node.output[0]), self.producers.get(node.input[0])
        pads = self._zeros_round_a_map(node)
        if consumer is None or pads is None:
            return False
        not_negative = source is not None and source.op_type == "Relu"
        if consumer.op_type != "Conv" and not (consumer.op_type == "MaxPool" and not_negative):
            return False
        attributes = {each.name: helper.get_attribute_value(each) for each in consumer.attribute}
        if attributes.pop("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            return False
        own = np.asarray(attributes.get("pads", [0] * 4))
        attributes["pads"] = [int(each) for each in own + pads]
        del consumer.attribute[:]
        consumer.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        consumer.input[0] = node.input[0]
        return True

    def _zeros_round_a_map(self, node: Any) -> Any:
        """Returns the zero padding (top, left, bottom, right) of a Pad node, or None if it does more."""
        pads, fill = (self._value(node.input[index]) if len(node.input) > index else None for index in (1, 2))
        mode = next((each.s for each in node.attribute if each.name == "mode"), b"constant")
        if pads is None or pads.size != 8 or any(pads[[0, 1, 4, 5]]) or mode != b"constant":
            return None
        if fill is not None and fill.size and float(fill.reshape(-1)[0]) != 0.0:
            return None
        return pads[[2, 3, 6, 7]]

    def _only_convolution(self, tensor: str) -> Any:
        """Returns the convolution with constant weights that alone produces `tensor`, or None."""
        node = self.producers.get(tensor)
        if node is None or node.op_type != "Conv" or self.uses[tensor] != 1:
            return None
        return node if all(self._value(name) is not None for name in node.input[1:]) else None

    def _only_consumer(self, tensor: str) -> Any:
        if self.uses[tensor] != 1:
            return None
        return next((node for node in self.graph.node if tensor in node.input), None)

    def _value(self, name: str) -> Any:
        if name in self.constants:
            return self.constants[name]
        node = self.producers.get(name)
        if node is None or node.op_type != "Constant":
            return None
        return numpy_helper.to_array(node.attribute[0].t) if node.attribute[0].name == "value" else None
