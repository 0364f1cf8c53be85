"""Rewrites the head for CPUs: 3x3 convolutions of the pooled map by the discrete Fourier transform.

See `frcnn.ops.dft_matrices` for the mathematics. Maps `[N, D, P, P]` ("planes") become `[P * P, N, D]`
("cells"). In this layout transforms and products are MatMuls of reshaped tensors, so a single Transpose at
the start of the head suffices.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from frcnn.exporting.onnx.graph_builder import GraphBuilder, Operand, ints
from frcnn.exporting.onnx.shapes import map_shapes
from frcnn.ops.dft_matrices import LARGEST_DFT_SIDE, SMALLEST_DFT_DEPTH, dft_matrices

_CELLWISE = ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "HardSigmoid", "Softplus")
_PAIRWISE = ("Add", "Mul", "Sub", "Div")
# Where the transformed kernels, ten times as large as the plain ones, come from: they are stored in the
# graph; the runtime computes them when it folds constants; or the caller feeds them as inputs.
_Kernels = Literal["stored", "folded", "fed"]


@dataclasses.dataclass(frozen=True)
class FedGraph:
    """Network whose transformed kernels are inputs.

    Runtimes copy constants several times, and inputs never.

    Attributes:
        network: ONNX ModelProto; its inputs are those of the original network, then the kernels.
        kernels: Kernels by the names of the inputs. An input is `transform @ plain`, reshaped to `shape`.
    """

    network: Any
    kernels: dict[str, "FedKernel"]


@dataclasses.dataclass(frozen=True)
class FedKernel:
    """Kernel to transform.

    Attributes:
        transform: float32 `[T, 9]`.
        plain: float32 `[9, D * F]`.
        shape: `(T, D, F)`.
    """

    transform: np.ndarray
    plain: np.ndarray
    shape: tuple[int, int, int]


def with_fast_head(model: Any, *, transformed: bool) -> Any | None:
    """Rewrites a network with fast convolutions.

    Args:
        model: ONNX ModelProto of standard operators without subgraphs: a head or a whole detector.
        transformed: Whether to store transformed kernels, which are ten times as large. Otherwise the
            runtime transforms them as a product of two constants.

    Returns:
        The rewritten ModelProto, or `None` if no convolution gains, as in fp16 and INT8.
    """
    rewriter = _Rewriter(model, "stored" if transformed else "folded")
    return rewriter.run() if rewriter.any_gains() else None


def with_fed_kernels(model: Any) -> FedGraph | None:
    """Rewrites a network with fast convolutions, whose kernels the caller transforms once and feeds.

    Args:
        model: ONNX ModelProto as for `with_fast_head`.

    Returns:
        The rewritten network, or `None` if no convolution gains.
    """
    rewriter = _Rewriter(model, "fed")
    return FedGraph(rewriter.run(), rewriter.fed) if rewriter.any_gains() else None


class _Rewriter:
    """Visits nodes in order and keeps each map in its layout until another layout is needed."""

    def __init__(self, model: Any, form: _Kernels) -> None:
        self.graph, self.form = model.graph, form
        self.opset = next(each.version for each in model.opset_import if not each.domain)
        self.constants = {each.name: each for each in self.graph.initializer}
        self.shapes = map_shapes(model)
        self.builder = GraphBuilder("fast/const/")
        self.fed: dict[str, FedKernel] = {}
        self.cells: dict[str, str] = {}  # name of a map -> its name in the layout "cells"
        self.planes = {each.name for each in self.graph.input}
        # 1x1 convolutions could be MatMuls too, which saves transpositions, but runtimes fuse Add and Relu
        # into Conv only. In bottlenecks and inception blocks the fusion is worth more.
        narrow, wide = (self._weights_of(kernel) for kernel in (1, 3))
        self.moves_narrow = 2 * narrow < wide
        self.rules: dict[str, Callable[[Any], bool]] = {
            "Conv": self._convolution,
            "AveragePool": self._mean,
            "GlobalAveragePool": self._mean,
            **dict.fromkeys(_CELLWISE, self._cellwise),
            **dict.fromkeys(_PAIRWISE, self._pairwise),
        }

    def run(self) -> Any:
        """Returns the rewritten graph as a ModelProto."""
        with self.builder.scope("fast"):  # avoids collisions with existing names
            for node in self.graph.node:
                rule = self.rules.get(node.op_type)
                if rule is None or not rule(node):
                    self._copy(node)
            for each in self.graph.output:
                self._as_planes(each.name)
        own = self.graph
        kernels = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, kernel.shape)
            for name, kernel in self.fed.items()
        ]
        return self.builder.model(own.name, [*own.input, *kernels], own.output, {"": self.opset})

    def any_gains(self) -> bool:
        """Checks whether any convolution is cheaper in the frequency domain."""
        return any(self.gains(node) for node in self.graph.node)

    def gains(self, node: Any) -> bool:
        """Checks whether a node is a convolution that is cheaper in the frequency domain."""
        if not self._is_plain(node, kernel=3) or not self._is_small(node):
            return False
        return self.shapes[node.input[0]][0] >= SMALLEST_DFT_DEPTH

    def _weights_of(self, kernel: int) -> int:
        nodes = [node for node in self.graph.node if self._is_plain(node, kernel) and self._is_small(node)]
        return sum(math.prod(self.constants[node.input[1]].dims) for node in nodes)

    def _is_plain(self, node: Any, kernel: int) -> bool:
        """Checks whether a node is an ungrouped convolution with stride 1 of square maps of known size."""
        weights = self.constants.get(node.input[1]) if node.op_type == "Conv" else None
        shape = self.shapes.get(node.input[0])
        if weights is None or weights.data_type != TensorProto.FLOAT or weights.dims[2:] != [kernel, kernel]:
            return False
        if shape is None or shape[1] != shape[2]:
            return False
        options = _attributes(node)
        ones = [*options.get("strides", [1, 1]), *options.get("dilations", [1, 1]), options.get("group", 1)]
        return set(ones) == {1} and list(options.get("pads", [0] * 4)) == [kernel // 2] * 4

    def _is_small(self, node: Any) -> bool:
        """Checks whether the input map is as small as a pooled one."""
        return self.shapes[node.input[0]][1] <= LARGEST_DFT_SIDE

    def _convolution(self, node: Any) -> bool:
        add = self.builder.add
        if self.gains(node):
            outcome = self._by_frequencies(node)
        elif self.moves_narrow and self._is_plain(node, kernel=1) and self._is_small(node):
            kernel = self._value(node.input[1])
            outcome = add("MatMul", self._as_cells(node.input[0]), np.ascontiguousarray(kernel[:, :, 0, 0].T))
        else:
            return False
        if len(node.input) > 2:
            outcome = add("Add", outcome, self._value(node.input[2]))
        self.cells[node.output[0]] = outcome
        return True

    def _by_frequencies(self, node: Any) -> str:
        add = self.builder.add
        kernel = self._value(node.input[1]).transpose(2, 3, 1, 0)
        _, _, depth, filters = kernel.shape
        side = self.shapes[node.input[0]][1]
        forward, transform, backward = dft_matrices(side)
        products = len(forward)
        weights = self._transformed(transform, kernel)
        flat = add("Reshape", self._as_cells(node.input[0]), ints([side * side, -1]))
        spectrum = add("MatMul", forward.astype(np.float32), flat)
        answers = add("MatMul", add("Reshape", spectrum, ints([products, -1, depth])), weights)
        cells = add("MatMul", backward.astype(np.float32), add("Reshape", answers, ints([products, -1])))
        return add("Reshape", cells, ints([side * side, -1, filters]))

    def _transformed(self, transform: np.ndarray, kernel: np.ndarray) -> Operand:
        """Returns a kernel `[3, 3, D, F]` in the frequency domain, `[T, D, F]`."""
        shape = (len(transform), *kernel.shape[2:])
        plain = kernel.reshape(9, -1)
        if self.form == "stored":
            return np.asarray(transform @ plain, np.float32).reshape(shape)
        if self.form == "folded":
            product = self.builder.add("MatMul", transform.astype(np.float32), plain)
            return self.builder.add("Reshape", product, ints(shape))
        name = f"fast/kernel/{len(self.fed)}"
        self.fed[name] = FedKernel(transform.astype(np.float32), plain, shape)
        return name

    def _cellwise(self, node: Any) -> bool:
        if node.input[0] not in self.cells:
            return False
        self._add_in_cells(node, [self.cells[node.input[0]]])
        return True

    def _pairwise(self, node: Any) -> bool:
        if not any(each in self.cells for each in node.input):
            return False
        operands: list[Operand] = []
        for each in node.input:
            constant = self._value(each) if each in self.constants else None
            if constant is not None and (constant.size == 1 or constant.shape[-2:] == (1, 1)):
                operands.append(constant.reshape(-1))
            elif each in self.shapes:
                operands.append(self._as_cells(each))
            else:
                return False
        self._add_in_cells(node, operands)
        return True

    def _mean(self, node: Any) -> bool:
        """Rewrites the mean over a whole map."""
        if node.input[0] not in self.cells:
            return False
        _, side, _ = self.shapes[node.input[0]]
        options = _attributes(node)
        if node.op_type == "AveragePool" and (
            list(options["kernel_shape"]) != [side] * 2 or "pads" in options
        ):
            return False
        mean = self.builder.add("ReduceMean", self.cells[node.input[0]], ints([0]), keepdims=0)
        self.builder.add("Unsqueeze", mean, ints([2, 3]), output=node.output[0])
        self.planes.add(node.output[0])
        return True

    def _value(self, constant: str) -> np.ndarray:
        return np.asarray(numpy_helper.to_array(self.constants[constant]))

    def _add_in_cells(self, node: Any, operands: list[Operand]) -> None:
        self.cells[node.output[0]] = self.builder.add(node.op_type, *operands, **_attributes(node))

    def _copy(self, node: Any) -> None:
        operands = [
            self.builder.store(self.constants[each]) if each in self.constants else self._as_planes(each)
            for each in node.input
        ]
        self.builder.add_many(
            *(node.op_type, len(node.output), *operands),
            outputs=node.output,
            name=node.name,
            **_attributes(node),
        )
        self.planes.update(node.output)

    def _as_cells(self, tensor: str) -> str:
        if tensor not in self.cells:
            depth, rows, columns = self.shapes[tensor]
            flat = self.builder.add("Reshape", tensor, ints([-1, depth, rows * columns]))
            self.cells[tensor] = self.builder.add("Transpose", flat, perm=[2, 0, 1])
        return self.cells[tensor]

    def _as_planes(self, tensor: str) -> str:
        if tensor in self.cells and tensor not in self.planes:
            back = self.builder.add("Transpose", self.cells[tensor], perm=[1, 2, 0])
            self.builder.add("Reshape", back, ints([-1, *self.shapes[tensor]]), output=tensor)
            self.planes.add(tensor)
        return tensor


def _attributes(node: Any) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
