"""Whether an ONNX file is one that a detector can be in, before anything is made of it.

Protobuf makes some hundred bytes of memory of two bytes of an empty message, and ONNX may name other files
of this machine for its weights. So the file is looked through first, without making messages.
"""

import math
from pathlib import Path
from typing import Any

from frcnn.errors import ModelError
from frcnn.limits import JSON_DEPTH, ONNX_BYTES, ONNX_FIELDS

# Protobuf's wire types.
_VARINT, _LENGTH = 0, 2
_FIXED = {1: 8, 5: 4}


# Types of fields, by protobuf's numbers: int64, uint64, int32, bool, uint32, enum, sint32, sint64.
_WHOLE_NUMBERS = (3, 4, 5, 8, 13, 14, 17, 18)


class NotOnnxError(ValueError):
    """The file is broken, or larger than any detector; the message does not name it."""


def load_guarded(plain: Path, shown: Path) -> Any:
    """Returns the model in an ONNX file, looked through, with all of its weights in it.

    Args:
        plain: The file.
        shown: How messages call it.

    Raises:
        ModelError: It is no ONNX file, too large, or keeps weights elsewhere.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        size = plain.stat().st_size
        if size > ONNX_BYTES:
            raise NotOnnxError(f"{size} bytes, and protobuf ends at {ONNX_BYTES}")
        data = plain.read_bytes()
        _look_through(memoryview(data), onnx.ModelProto.DESCRIPTOR)
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, OSError) as error:
        raise ModelError(f"{shown}: not an ONNX file ({error})") from error
    _check_weights(model.graph, shown)
    return model


def _look_through(data: memoryview, descriptor: Any) -> None:
    """Counts fields without making any; raises NotOnnxError where there are too many, or too deep ones."""
    fields = 0
    # The message that is looked at, and those around it: how far each is, where it ends, what it is.
    stack = [(0, len(data), descriptor)]
    while stack:
        place, end, kind = stack.pop()
        if place == end:
            continue
        tag, place = _varint(data, place, end)
        start, place = _content(data, place, end, tag & 7)
        stack.append((place, end, kind))
        field = kind.fields_by_number.get(tag >> 3)
        fields += 1
        if tag & 7 == _LENGTH and field is not None:
            if field.message_type is not None:
                stack.append((start, place, field.message_type))
            elif field.type in _WHOLE_NUMBERS:
                fields += (place - start) // 16  # a byte may become a number of eight
        if fields > ONNX_FIELDS:
            raise NotOnnxError(f"more than {ONNX_FIELDS} fields")
        if len(stack) > JSON_DEPTH:
            raise NotOnnxError("nested too deeply")


def _content(data: memoryview, place: int, end: int, wire: int) -> tuple[int, int]:
    """Where a field's content begins and ends."""
    if wire == _VARINT:
        return place, _varint(data, place, end)[1]
    if wire == _LENGTH:
        length, place = _varint(data, place, end)
    elif wire in _FIXED:
        length = _FIXED[wire]
    else:
        raise NotOnnxError("not protobuf")
    if length > end - place:
        raise NotOnnxError("cut short")
    return place, place + length


def _varint(data: memoryview, place: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while place < end and shift < 70:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise NotOnnxError("cut short")


def _check_weights(graph: Any, shown: Path) -> None:
    """Raises ModelError for weights that lie elsewhere, or are not as many as their shape says."""
    import onnx

    for weight in _weights(graph):
        if weight.data_location == onnx.TensorProto.EXTERNAL or weight.external_data:
            raise ModelError(
                f"{shown}: keeps weights in another file ({_location(weight)[:100]!r}), which is not read; "
                "expected one file that holds all of the model, as export writes it"
            )
        if weight.raw_data and len(weight.raw_data) != _raw_size(weight):
            raise ModelError(
                f"{shown}: damaged: the weight {weight.name[:100]!r} has {len(weight.raw_data)} bytes, and "
                f"its shape {list(weight.dims)[:8]} wants {_raw_size(weight)}"
            )


def _weights(graph: Any) -> Any:
    """All tensors of a graph, those of its nodes and of the graphs in these too."""
    pending = [graph]
    while pending:
        each = pending.pop()
        yield from each.initializer
        for sparse in each.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in each.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                pending += [attribute.g] if attribute.HasField("g") else []
                pending += attribute.graphs


def _location(weight: Any) -> str:
    return next((str(each.value) for each in weight.external_data if each.key == "location"), "")


def _raw_size(weight: Any) -> int:
    """Bytes that a weight of its type and shape has; what it has already where the type is unknown."""
    import onnx

    if any(side < 0 for side in weight.dims):
        return -1
    try:
        kind = onnx.helper.tensor_dtype_to_np_dtype(weight.data_type)
    except KeyError:
        return len(weight.raw_data)
    bits = {"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2}.get(
        kind.name, 8 * kind.itemsize
    )
    return -(-math.prod(weight.dims) * bits // 8)
