"""How far the tensors of a detector reach on real images: what INT8 steps are made of."""

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

# ONNX Runtime's own choice for entropy, 128 bins for 128 levels, leaves nothing to choose between; with
# twice as many as here it takes four times as long.
_OPTIONS: dict[Method, dict[str, object]] = {
    "minmax": {},
    "entropy": {"num_bins": 512, "num_quantized_bins": 128},
    "percentile": {"percentile": 99.99},
}


def calibrate(
    model: Any, images: Iterable[np.ndarray], count: int, method: Method
) -> dict[str, tuple[float, float]]:
    """Lowest and highest value worth keeping of each float tensor in the two networks.

    Args:
        model: A standard graph in float32 that takes any number of images.
        images: Batches [n, C, H, W], network-ready float32.
        count: Of images, for the progress bar.
        method: `minmax` keeps all; `percentile` 99.99 % of the magnitudes; `entropy` what makes the rounded
            values' distribution most like the real one's.

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
        # One image at a time: all its tensors are kept until they are counted.
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
    """Without ONNX Runtime's prints, and numpy's warnings of what is found out at the end anyway."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


class _Once:
    """ONNX Runtime's way to ask for inputs: one, and then None."""

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
