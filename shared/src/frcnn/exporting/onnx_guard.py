"""Checks ONNX files before they are parsed.

Protobuf allocates some hundred bytes for an empty message of two bytes, and ONNX weights may refer to other
files of this machine. The file is therefore scanned first, without creating messages.
"""

import math
from pathlib import Path
from typing import Any

from frcnn.errors import ModelError
from frcnn.limits import JSON_DEPTH, ONNX_BYTES, ONNX_FIELDS

# Protobuf's wire types.
_VARINT, _LENGTH = 0, 2
_FIXED = {1: 8, 5: 4}


# Protobuf's numbers of the field types int64, uint64, int32, bool, uint32, enum, sint32 and sint64.
_WHOLE_NUMBERS = (3, 4, 5, 8, 13, 14, 17, 18)


class NotOnnxError(ValueError):
    """Error for a broken or too large file; the message does not name the file."""


def load_guarded(plain: Path, shown: Path) -> Any:
    """Loads a checked ONNX model that contains all of its weights.

    Args:
        plain: Plain file.
        shown: Path of the file in messages.

    Returns:
        ONNX ModelProto.

    Raises:
        ModelError: The file is not an ONNX file, is too large, or stores weights in other files.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        size = plain.stat().st_size
        if size > ONNX_BYTES:
            raise NotOnnxError(f"{size} bytes; protobuf supports at most {ONNX_BYTES}")
        data = plain.read_bytes()
        _scan(memoryview(data), onnx.ModelProto.DESCRIPTOR)
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, OSError) as error:
        raise ModelError(f"{shown}: not an ONNX file ({error})") from error
    _check_weights(model.graph, shown)
    return model


def _scan(data: memoryview, descriptor: Any) -> None:
    """Counts fields without creating messages; raises NotOnnxError above the limits."""
    fields = 0
    # The current message and the enclosing ones: position, end, and descriptor of each.
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
                fields += (place - start) // 16  # a byte may become a number of eight bytes
        if fields > ONNX_FIELDS:
            raise NotOnnxError(f"more than {ONNX_FIELDS} fields")
        if len(stack) > JSON_DEPTH:
            raise NotOnnxError("nested too deeply")


def _content(data: memoryview, place: int, end: int, wire: int) -> tuple[int, int]:
    """Returns start and end of a field's content."""
    if wire == _VARINT:
        return place, _varint(data, place, end)[1]
    if wire == _LENGTH:
        length, place = _varint(data, place, end)
    elif wire in _FIXED:
        length = _FIXED[wire]
    else:
        raise NotOnnxError("not protobuf")
    if length > end - place:
        raise NotOnnxError("truncated")
    return place, place + length


def _varint(data: memoryview, place: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while place < end and shift < 70:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise NotOnnxError("truncated")


def _check_weights(graph: Any, shown: Path) -> None:
    """Raises ModelError for weights in other files, or whose size does not match their shape."""
    import onnx

    for weight in _weights(graph):
        if weight.data_location == onnx.TensorProto.EXTERNAL or weight.external_data:
            raise ModelError(
                f"{shown}: stores weights in another file ({_location(weight)[:100]!r}), which is not read; "
                "expected one file with the whole model, as export writes it"
            )
        if weight.raw_data and len(weight.raw_data) != _raw_size(weight):
            raise ModelError(
                f"{shown}: damaged: the weight {weight.name[:100]!r} has {len(weight.raw_data)} bytes; its "
                f"shape {list(weight.dims)[:8]} requires {_raw_size(weight)}"
            )


def _weights(graph: Any) -> Any:
    """Yields all tensors of a graph, including those of its nodes and subgraphs."""
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
    """Returns the size in bytes by type and shape; the actual size if the type is unknown."""
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
    return int(-(-math.prod(weight.dims) * bits // 8))
