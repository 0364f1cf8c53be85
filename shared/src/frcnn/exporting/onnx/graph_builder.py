"""Builds ONNX graphs node by node, with a name for every tensor and each constant stored once."""

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
    """Returns a constant int64 vector, for axes or shapes."""
    return np.asarray(values, np.int64)


def floats(values: Sequence[float]) -> np.ndarray:
    """Returns a constant float32 vector."""
    return np.asarray(values, np.float32)


class GraphBuilder:
    """Collects nodes and constants; `model` turns them into an ONNX model."""

    def __init__(self, constants: str = "const/") -> None:
        """Creates an empty graph.

        Args:
            constants: Prefix of the names of constants that are given by value.
        """
        self._prefix = constants
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._value_info: list[Any] = []
        self._counts: Counter[str] = Counter()
        self._scope = ""

    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefixes names created within the block with `name/`."""
        before, self._scope = self._scope, f"{self._scope}{name}/"
        try:
            yield
        finally:
            self._scope = before

    def add(self, op: str, *operands: Operand, output: str = "", **options: Any) -> str:
        """Adds a node with one output.

        Args:
            op: Operator.
            operands: Tensor names or constants.
            output: Name of the output; generated if empty.
            options: Options of `add_many`.

        Returns:
            Name of the output.
        """
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
        """Adds a node with `count` outputs.

        Args:
            op: Operator.
            count: Number of outputs.
            operands: Tensor names or constants.
            name: Name of the node; generated if empty.
            domain: Operator domain.
            outputs: Names of the outputs; generated if empty.
            attributes: Attributes of the node.

        Returns:
            Names of the outputs.
        """
        name = name or self._new_name(op)
        names = list(outputs) or [f"{name}:{index}" for index in range(count)]
        inputs = [each if isinstance(each, str) else self._constant(each) for each in operands]
        self._nodes.append(helper.make_node(op, inputs, names, name=name, domain=domain, **attributes))
        return names

    def add_part(self, part: Any, prefix: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        """Copies a graph. Its nodes and inner tensors get a prefix.

        Args:
            part: ONNX GraphProto.
            prefix: Prefix such as `bb/`.
            inputs: Mapping from inputs of the part to tensors of this graph.
            outputs: Mapping from outputs of the part to their names in this graph.
        """
        known = {"": "", **inputs, **outputs}
        self._initializers |= {prefix + each.name: each for each in part.initializer}
        for node in part.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = prefix + node.name
            copy.input[:] = [known.get(each, prefix + each) for each in node.input]
            copy.output[:] = [known.get(each, prefix + each) for each in node.output]
            self._nodes.append(copy)

    def store(self, constant: Any) -> str:
        """Adds a constant under its own name, without looking at its values.

        Args:
            constant: ONNX TensorProto; it may be given again.

        Returns:
            Its name.

        Raises:
            ValueError: Another constant has this name.
        """
        if self._initializers.setdefault(constant.name, constant) is not constant:
            raise ValueError(f"two constants are named {constant.name!r}")
        return str(constant.name)

    def declare(self, name: str, kind: int, shape: Sequence[int | str]) -> None:
        """Declares type and shape of an inner tensor where shape inference fails.

        Args:
            name: Tensor.
            kind: ONNX element type.
            shape: Lengths, or names of free dimensions.
        """
        self._value_info.append(helper.make_tensor_value_info(name, kind, shape))

    def model(
        self, name: str, inputs: Sequence[Any], outputs: Sequence[Any], opsets: Mapping[str, int]
    ) -> Any:
        """Creates the ONNX model.

        Args:
            name: Name of the graph.
            inputs: ValueInfoProtos of the inputs.
            outputs: ValueInfoProtos of the outputs.
            opsets: Version of each operator domain; "" is the ONNX domain.

        Returns:
            ONNX ModelProto.
        """
        graph = helper.make_graph(self._nodes, name, inputs, outputs, value_info=self._value_info)
        imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
        own = [each for each in imports if not each.domain]
        # Older runtimes refuse newer formats, so use the oldest one that supports the opset.
        version = helper.find_min_ir_version_for(own)
        model = helper.make_model(graph, opset_imports=imports, ir_version=version)
        # `make_graph` and `make_model` copy what they get; weights are copied once, here.
        for key, each in self._initializers.items():
            copy = model.graph.initializer.add()
            copy.CopyFrom(each)
            copy.name = key
        return model

    def _constant(self, value: np.ndarray | np.generic) -> str:
        array = np.asarray(value)
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._constants:
            name = f"{self._prefix}{len(self._constants)}"
            self._constants[key] = self.store(numpy_helper.from_array(array, name))
        return self._constants[key]

    def _new_name(self, op: str) -> str:
        stem = self._scope + op
        self._counts[stem] += 1
        count = self._counts[stem]
        return stem if count == 1 else f"{stem}_{count}"
