"""Building an ONNX graph by hand: nodes in order, a name for every tensor, each constant once."""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

# The name of a tensor, or the value of a constant one.
Operand = str | np.ndarray | np.generic


def ints(values: Sequence[int]) -> np.ndarray:
    """A constant int64 vector, such as axes or a shape."""
    return np.asarray(values, np.int64)


def floats(values: Sequence[float]) -> np.ndarray:
    """A constant float32 vector."""
    return np.asarray(values, np.float32)


class GraphBuilder:
    """Collects nodes and constants; `model` makes an ONNX model of them."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._value_info: list[Any] = []
        self._counts: Counter[str] = Counter()
        self._scope = ""

    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names given within the block start with `name/`."""
        before, self._scope = self._scope, f"{self._scope}{name}/"
        try:
            yield
        finally:
            self._scope = before

    def add(self, op: str, *operands: Operand, output: str = "", **options: Any) -> str:
        """Adds a node with one output and returns its name, `output` if given; options as `add_many`."""
        return self.add_many(op, 1, *operands, outputs=(output,) if output else (), **options)[0]

    def add_many(
        self,
        op: str,
        count: int,
        *operands: Operand,
        name: str = "",
        domain: str = "",
        outputs: Sequence[str] = (),
        **attributes: Any,
    ) -> list[str]:
        """Adds a node with `count` outputs and returns their names.

        Args:
            op: Operator.
            count: How many outputs.
            operands: Tensors or constants.
            name: Of the node; made up if empty.
            domain: Of the operator.
            outputs: Names of the outputs; made up if empty.
            attributes: Of the node.
        """
        name = name or self._new_name(op)
        names = list(outputs) or [f"{name}:{index}" for index in range(count)]
        inputs = [each if isinstance(each, str) else self._constant(each) for each in operands]
        self._nodes.append(helper.make_node(op, inputs, names, name=name, domain=domain, **attributes))
        return names

    def add_part(self, part: Any, prefix: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        """Copies a whole graph in; its nodes and inner tensors get `prefix`.

        Args:
            part: An ONNX GraphProto.
            prefix: Such as `bb/`.
            inputs: From the part's inputs to tensors that are here.
            outputs: From the part's outputs to the names they get.
        """
        known = {"": "", **inputs, **outputs}
        for initializer in part.initializer:
            copy = onnx.TensorProto()
            copy.CopyFrom(initializer)
            copy.name = prefix + initializer.name
            self._initializers[copy.name] = copy
        for node in part.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = prefix + node.name
            copy.input[:] = [known.get(each, prefix + each) for each in node.input]
            copy.output[:] = [known.get(each, prefix + each) for each in node.output]
            self._nodes.append(copy)

    def declare(self, name: str, kind: int, shape: Sequence[int | str]) -> None:
        """Says type and shape of an inner tensor, where no runtime could tell."""
        self._value_info.append(helper.make_tensor_value_info(name, kind, shape))

    def model(
        self, name: str, inputs: Sequence[Any], outputs: Sequence[Any], opsets: Mapping[str, int]
    ) -> Any:
        """The ONNX model.

        Args:
            name: Of the graph.
            inputs: Its ValueInfoProtos.
            outputs: Likewise.
            opsets: Version of each operator domain; "" is ONNX's own.
        """
        graph = helper.make_graph(
            self._nodes, name, inputs, outputs, list(self._initializers.values()), value_info=self._value_info
        )
        imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
        own = [each for each in imports if not each.domain]
        # The oldest format that can hold the opset: newer ones are refused by older runtimes.
        return helper.make_model(graph, opset_imports=imports, ir_version=helper.find_min_ir_version_for(own))

    def _constant(self, value: np.ndarray | np.generic) -> str:
        array = np.asarray(value)
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._constants:
            name = f"const/{len(self._constants)}"
            self._constants[key] = name
            self._initializers[name] = numpy_helper.from_array(array, name)
        return self._constants[key]

    def _new_name(self, op: str) -> str:
        stem = self._scope + op
        self._counts[stem] += 1
        count = self._counts[stem]
        return stem if count == 1 else f"{stem}_{count}"
