"""Measures value ranges of a detector's tensors on images, for INT8."""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import onnx

from frcnn.console.progress import track
from frcnn.errors import ModelError
from frcnn.exporting.int8.qdq import part_of
from frcnn.exporting.onnx.tensor_names import INPUT

Method: TypeAlias = Literal["minmax", "entropy", "percentile"]

# ONNX Runtime's default for entropy, 128 bins for 128 levels, leaves no choice. Twice as many bins as here
# would take four times as long.
_OPTIONS: dict[Method, dict[str, object]] = {
    "minmax": {},
    "entropy": {"num_bins": 512, "num_quantized_bins": 128},
    "percentile": {"percentile": 99.99},
}


def calibrate(
    model: Any, images: Iterable[np.ndarray], count: int, method: Method
) -> dict[str, tuple[float, float]]:
    """Measures the value range of every float tensor in both networks.

    Args:
        model: Standard float32 ONNX graph with a free batch size.
        images: Preprocessed batches, float32 `[n, C, H, W]`.
        count: Number of images, for the progress bar.
        method: `minmax`: full range; `percentile`: 99.99 % of the magnitudes; `entropy`: the range whose
            rounded values are distributed most like the originals.

    Returns:
        Mapping from tensor name to (lowest, highest).

    Raises:
        ModelError: A tensor has values that are not finite.
    """
    from onnxruntime.quantization import CalibrationMethod, create_calibrator

    methods = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    operators = sorted({node.op_type for node in model.graph.node if part_of(node)})
    with _quiet(), tempfile.TemporaryDirectory(prefix="frcnn-") as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        inner = Path(folder) / "observed.onnx"
        calibrator = create_calibrator(
            path, operators, str(inner), methods[method], extra_options=_OPTIONS[method]
        )
        # One image at a time, because all its tensors stay in memory until they are counted.
        for image in track(_single(images), "calibrating", count):
            calibrator.collect_data(_Once(image))
        found = calibrator.compute_data()
    inside = _tensors(model)
    ranges = {
        name: (float(np.min(data.range_value[0])), float(np.max(data.range_value[1])))
        for name, data in found.items()
        if name in inside
    }
    for name, limits in ranges.items():
        if not np.isfinite(limits).all():
            raise ModelError(
                f"calibration: tensor {name} has values that are not finite; INT8 cannot hold them"
            )
    return ranges


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences ONNX Runtime's output and numpy's warnings about values that are checked at the end."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


class _Once:
    """Data reader of ONNX Runtime that returns one image."""

    def __init__(self, image: np.ndarray) -> None:
        self._left = [{INPUT: image}]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self._left.pop() if self._left else None


def _single(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    for batch in batches:
        yield from (batch[index : index + 1] for index in range(len(batch)))


def _tensors(model: Any) -> set[str]:
    nodes = [node for node in model.graph.node if part_of(node)]
    return {name for node in nodes for name in (*node.input, *node.output)}
