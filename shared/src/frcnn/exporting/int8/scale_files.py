"""Writes the two text files that pass INT8 ranges to TensorRT: calibration cache and JSON of scales."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frcnn.exporting.int8.qdq import Ranges
from frcnn.files import write_text

# Release that the TensorRT code of this package is written for.
TENSORRT_VERSION = 101300
_LEVELS = 127


def tensor_limits(model: Any, ranges: Ranges) -> dict[str, float]:
    """Returns the largest magnitude of each tensor of a graph, in graph order.

    Args:
        model: ONNX ModelProto.
        ranges: Lowest and highest value by tensor.

    Returns:
        Mapping from tensor name to largest magnitude.
    """
    names = [each.name for each in model.graph.input]
    names += [name for node in model.graph.node for name in node.output]
    return {name: max(map(abs, ranges[name])) for name in names if name in ranges}


def cache_text(limits: Mapping[str, float]) -> str:
    """Formats TensorRT's calibration cache: a header, then tensors with big-endian float32 scales in hex.

    Tensors that are always 0 have no scale and are left out.
    """
    lines = [f"TRT-{TENSORRT_VERSION}-EntropyCalibration2"]
    lines += [
        f"{name}: {struct.pack('>f', limit / _LEVELS).hex()}" for name, limit in limits.items() if limit > 0.0
    ]
    return "".join(f"{line}\n" for line in lines)


def write_cache(path: Path, limits: Mapping[str, float]) -> None:
    """Writes the calibration cache."""
    write_text(path, cache_text(limits))


def write_scales(path: Path, limits: Mapping[str, float]) -> None:
    """Writes `{"tensor_scales": {tensor: largest magnitude}}` as JSON."""
    write_text(path, json.dumps({"tensor_scales": dict(limits)}, indent=1) + "\n")
