"""Writes quantization into a graph: QuantizeLinear and DequantizeLinear pairs, and int8 weights.

One writer serves both sources of ranges (calibration and quantization-aware training) and both profiles:

    cpu       uint8 activations, zero point 0 where nothing is negative; pairs before and after the chosen
              nodes; int32 biases; weights from -64 to 64. ONNX Runtime and OpenVINO run this form in
              integers, on every CPU with the same result.
    cpu_vnni  The same with weights from -127 to 127, for CPUs that add products in 32 bits (VNNI, ARM).
    tensorrt  int8 activations, zero point 0; pairs before the chosen nodes only; float biases; weights from
              -127 to 127.

Weights are int8 with one scale per output channel in all profiles. Only nodes of the two networks are
chosen: boxes and NMS need more than 256 levels.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from onnx import helper, numpy_helper

Profile: TypeAlias = Literal["cpu", "cpu_vnni", "tensorrt"]
# Largest magnitude of a weight. Without VNNI, x86 CPUs add two products of uint8 and int8 in 16 bits and
# saturate: 2 x 255 x 64 = 32640 fits into int16, 2 x 255 x 65 does not.
EXACT_WEIGHT, FULL_WEIGHT = 64, 127
_LARGEST_WEIGHT: Mapping[Profile, int] = {
    "cpu": EXACT_WEIGHT,
    "cpu_vnni": FULL_WEIGHT,
    "tensorrt": FULL_WEIGHT,
}
# Lowest and highest value of a tensor; values outside are clipped.
Ranges: TypeAlias = Mapping[str, tuple[float, float]]

PARTS = ("bb/", "hd/")
CHOSEN = ("Conv", "MatMul", "Gemm", "Add")
_MOVES = ("MaxPool", "Reshape", "Flatten", "Squeeze", "Transpose")
_NEVER_NEGATIVE = ("Relu", "Sigmoid", "Softmax")
# Operators that runtimes fuse with the preceding node; a pair belongs after them.
_FUSED = ("Relu", "Clip")
_INT32 = 2.0**31 - 1


def insert_pairs(
    model: Any, ranges: Ranges, profile: Profile, weight_limits: Mapping[str, np.ndarray] | None = None
) -> Any:
    """Quantizes weights and activations in a copy of a float ONNX model.

    Args:
        model: ONNX ModelProto. Names of the two networks' nodes start with `bb/` or `hd/`.
        ranges: Value ranges of tensors. A node stays float if an input has no range.
        profile: `cpu`, `cpu_vnni` or `tensorrt`.
        weight_limits: For each node, the largest magnitude of each channel's weights, float `[channels]` or
            a scalar. Other nodes use the largest magnitude of their weights.

    Returns:
        The quantized ModelProto.
    """
    copy = type(model)()
    copy.CopyFrom(model)
    _Writer(copy.graph, ranges, profile, weight_limits or {}).run()
    return copy


def part_of(node: Any) -> str:
    """Returns `bb/` or `hd/` for a node of the two networks, otherwise an empty string."""
    return next((part for part in PARTS if node.name.startswith(part)), "")


class _Writer:
    def __init__(
        self, graph: Any, ranges: Ranges, profile: Profile, weight_limits: Mapping[str, np.ndarray]
    ) -> None:
        self.graph, self.ranges, self.weight_limits = graph, ranges, weight_limits
        self.unsigned, self.largest = profile != "tensorrt", _LARGEST_WEIGHT[profile]
        self.constants = {each.name: each for each in graph.initializer}
        self.producers = {name: node for node in graph.node for name in node.output}
        self.consumers: dict[str, list[Any]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.consumers[name].append(node)
        self.new_constants: list[Any] = []

    def run(self) -> None:
        chosen = [node for node in self.graph.node if self._is_chosen(node)]
        places = {name for node in chosen for name in self._activations(node)}
        if self.unsigned:
            places |= self._places_behind(chosen)
        # Computed before any node changes, because this walks up the graph.
        self.steps = {name: self._step(name) for name in places}
        names = {id(node) for node in chosen}
        nodes = [pair for each in self.graph.input if each.name in places for pair in self._pair(each.name)]
        for node in list(self.graph.node):
            if id(node) in names:
                nodes += self._quantize_weights(node)
            node.input[:] = [f"{name}/dq" if name in places else name for name in node.input]
            nodes.append(node)
            nodes += [pair for name in node.output if name in places for pair in self._pair(name)]
        self._replace(nodes)

    def _replace(self, nodes: list[Any]) -> None:
        used = {name for node in nodes for name in node.input}
        constants = [each for each in (*self.graph.initializer, *self.new_constants) if each.name in used]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(nodes)
        self.graph.initializer.extend(constants)

    def _is_chosen(self, node: Any) -> bool:
        """Checks whether a node has constant weights and inputs with known ranges."""
        if not part_of(node) or node.op_type not in CHOSEN:
            return False
        constants = [name for name in node.input if name in self.constants]
        weights = [] if node.op_type == "Add" else list(node.input[1:])
        return constants == weights and all(self._range(each) is not None for each in self._activations(node))

    def _activations(self, node: Any) -> list[str]:
        return list(node.input) if node.op_type == "Add" else [node.input[0]]

    def _places_behind(self, chosen: list[Any]) -> set[str]:
        """Returns results of chosen nodes that lead to another chosen node; network outputs stay float."""
        inputs = {name for node in chosen for name in self._activations(node)}
        leads_on = set(inputs)
        for node in reversed(self.graph.node):
            if part_of(node) and any(name in leads_on for name in node.output):
                leads_on.update(name for name in node.input if self._from_part(name, part_of(node)))
        behind = {self._after_fusion(node) for node in chosen}
        return {name for name in behind if name in leads_on and self._range(name) is not None}

    def _from_part(self, name: str, part: str) -> bool:
        return name in self.producers and part_of(self.producers[name]) == part

    def _after_fusion(self, node: Any) -> str:
        consumers = self.consumers[node.output[0]]
        fused = len(consumers) == 1 and consumers[0].op_type in _FUSED
        return str(consumers[0].output[0] if fused else node.output[0])

    def _range(self, name: str) -> tuple[float, float] | None:
        """Returns the range of a tensor. Operators that only move values share the range of their source."""
        producer = self.producers.get(name)
        if producer is not None and producer.op_type in _MOVES:
            return self._range(producer.input[0]) or self.ranges.get(name)
        return self.ranges.get(name)

    def _never_negative(self, name: str) -> bool:
        producer = self.producers.get(name)
        if producer is None:
            return False
        if producer.op_type in _MOVES:
            return self._never_negative(producer.input[0])
        if producer.op_type == "Clip":
            low = self.constants.get(producer.input[1]) if len(producer.input) > 1 else None
            return low is not None and float(numpy_helper.to_array(low)) >= 0.0
        return producer.op_type in _NEVER_NEGATIVE

    def _step(self, name: str) -> tuple[np.float32, np.ndarray]:
        """Returns scale and zero point of an activation."""
        low, high = self._range(name) or (0.0, 0.0)
        if not self.unsigned:
            return _scale(max(-low, high), 127), np.zeros((), np.int8)
        low, high = 0.0 if self._never_negative(name) else min(low, 0.0), max(high, 0.0)
        scale = _scale(high - low, 255)
        return scale, np.asarray(np.clip(np.rint(-low / scale), 0, 255), np.uint8)

    def _pair(self, name: str) -> list[Any]:
        scale, zero = self.steps[name]
        constants = [self._constant(f"{name}/scale", scale), self._constant(f"{name}/zero_point", zero)]
        return [
            helper.make_node("QuantizeLinear", [name, *constants], [f"{name}/q"], f"{name}/quantize"),
            helper.make_node(
                "DequantizeLinear", [f"{name}/q", *constants], [f"{name}/dq"], f"{name}/dequantize"
            ),
        ]

    def _quantize_weights(self, node: Any) -> list[Any]:
        """Returns the nodes that supply the weights of `node`; none for an Add."""
        if node.op_type == "Add":
            return []
        step, _ = self.steps[node.input[0]]
        weights = numpy_helper.to_array(self.constants[node.input[1]])
        axis = _channel_axis(node)
        bias: np.ndarray | None = None  # to be stored as integers
        if self.unsigned and len(node.input) > 2:
            bias = numpy_helper.to_array(self.constants[node.input[2]]).astype(np.float64)
        limits = np.asarray(self.weight_limits.get(node.name, channel_limits(node, weights)))
        scales = np.where(limits > 0.0, limits / self.largest, 1.0).astype(np.float32)
        scales = np.broadcast_to(scales, weights.shape[axis : axis + 1])
        if bias is not None:
            # Use coarser weights where the bias would not fit into 32 bits.
            scales = np.maximum(scales, np.abs(bias) / (step * _INT32) * 1.001).astype(np.float32)
        shape = [-1 if place == axis else 1 for place in range(weights.ndim)]
        rounded = np.rint(weights / scales.reshape(shape)).clip(-self.largest, self.largest).astype(np.int8)
        nodes = [self._dequantized(f"{node.name}/weights", rounded, scales, axis)]
        node.input[1] = nodes[0].output[0]
        if bias is not None:
            rounded = np.rint(bias / (step * scales)).astype(np.int32)
            nodes.append(self._dequantized(f"{node.name}/bias", rounded, step * scales, 0))
            node.input[2] = nodes[1].output[0]
        return nodes

    def _dequantized(self, name: str, values: np.ndarray, scales: np.ndarray, axis: int) -> Any:
        inputs = [self._constant(f"{name}/{values.dtype}", values), self._constant(f"{name}/scale", scales)]
        if values.dtype == np.int8:
            inputs.append(self._constant(f"{name}/zero_point", np.zeros(len(scales), np.int8)))
        return helper.make_node("DequantizeLinear", inputs, [f"{name}/dq"], f"{name}/dequantize", axis=axis)

    def _constant(self, name: str, value: np.ndarray | np.generic) -> str:
        self.new_constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def channel_limits(node: Any, weights: np.ndarray) -> np.ndarray:
    """Returns the largest weight magnitude of each output channel of a Conv, MatMul or Gemm, `[channels]`."""
    others = tuple(place for place in range(weights.ndim) if place != _channel_axis(node))
    return np.asarray(np.abs(weights).max(axis=others))


def _channel_axis(node: Any) -> int:
    if node.op_type == "Conv":
        return 0
    transposed = node.op_type == "Gemm" and any(each.name == "transB" and each.i for each in node.attribute)
    return 0 if transposed else 1


def _scale(span: float, levels: int) -> np.float32:
    return np.float32(span / levels if span > 0.0 else 1.0)
