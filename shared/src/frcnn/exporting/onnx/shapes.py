"""Shape inference without copying large constants."""

import math
from typing import Any

import onnx
from onnx import helper

_LARGE_CONSTANT = 2**18  # numbers


def without_large_constants(model: Any) -> Any:
    """Turns large constants of a model into inputs, for checks that copy the model but need shapes only."""
    graph = model.graph
    # The size by its shape, because protobuf copies the bytes to tell their number.
    large = [each for each in graph.initializer if math.prod(each.dims) > _LARGE_CONSTANT]
    inputs = [helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in large]
    names = {each.name for each in large}
    small = [each for each in graph.initializer if each.name not in names]
    bare = helper.make_graph(
        graph.node, graph.name, [*graph.input, *inputs], graph.output, small, value_info=graph.value_info
    )
    return helper.make_model(bare, opset_imports=model.opset_import, ir_version=model.ir_version)


def map_shapes(model: Any) -> dict[str, tuple[int, int, int]]:
    """Returns depth, rows and columns of the maps `[N, D, rows, columns]` whose sizes are known."""
    inferred = onnx.shape_inference.infer_shapes(without_large_constants(model)).graph
    shapes = {}
    for each in (*inferred.input, *inferred.value_info, *inferred.output):
        sides = [dimension.dim_value for dimension in each.type.tensor_type.shape.dim]
        if len(sides) == 4 and math.prod(sides[1:]) > 0:
            shapes[each.name] = (sides[1], sides[2], sides[3])
    return shapes
