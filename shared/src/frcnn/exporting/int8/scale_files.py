"""The two text files that carry INT8 ranges to TensorRT: calibration cache, and JSON of scales."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frcnn.exporting.int8.qdq import Ranges
from frcnn.files import write_text

# Of the release that the rest of our TensorRT code is written against.
TENSORRT_VERSION = 101300
_LEVELS = 127


def tensor_limits(model: Any, ranges: Ranges) -> dict[str, float]:
    """Largest magnitude of each tensor that is in the graph, in the graph's order.

    Args:
        model: An ONNX ModelProto.
        ranges: Lowest and highest value by tensor.
    """
    names = [each.name for each in model.graph.input]
    names += [name for node in model.graph.node for name in node.output]
    return {name: max(map(abs, ranges[name])) for name in names if name in ranges}


def cache_text(limits: Mapping[str, float]) -> str:
    """TensorRT's calibration cache: a head, then tensor and bits of its float32 scale, high byte first.

    A tensor that is always 0 has no scale and is left out.
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
    """Writes `{"tensor_scales": {tensor: largest magnitude}}`."""
    write_text(path, json.dumps({"tensor_scales": dict(limits)}, indent=1) + "\n")
