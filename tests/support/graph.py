"""Runs a function compiled, to compare with eager execution and to see that one trace is enough."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def compiled(function: Callable[..., Any], *inputs: Any) -> Any:
    """Calls `function` twice inside tf.function, checks that it was traced once, and returns its result.

    Raises:
        AssertionError: when the second call with the same shapes traces again.
    """
    tensors = [tf.convert_to_tensor(value) for value in inputs]
    graph = tf.function(function)
    graph(*tensors)
    result = graph(*tensors)
    traces = graph.experimental_get_tracing_count()
    if traces != 1:
        raise AssertionError(f"{traces} traces for two calls with equal shapes")
    return result


def static_shapes(function: Callable[..., Any], *inputs: Any) -> list[tuple[int | None, ...]]:
    """Shapes of the results as the graph knows them before it runs; None marks an unknown size."""
    tensors = [tf.convert_to_tensor(value) for value in inputs]
    outputs = tf.function(function).get_concrete_function(*tensors).structured_outputs
    return [tuple(output.shape.as_list()) for output in tf.nest.flatten(outputs)]
