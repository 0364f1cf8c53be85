"""Lets TensorRT 10 compute in fewer bits on its own, for files that do not specify the types.

TensorRT 11 only uses the types in the file. pyright checks this module against the stubs of 10 only.
"""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from frcnn.errors import RunError

if TYPE_CHECKING:
    import tensorrt as trt

# Boxes and NMS stay in float32: 16 bits cannot represent fractions of a pixel at the right of a wide image.
_WIDE_SCOPES = ("proposals/", "roi_pool/", "detections/")


def narrow(
    config: "trt.IBuilderConfig",
    network: "trt.INetworkDefinition",
    precision: str,
    cache: Path | None,
    profile: "trt.IOptimizationProfile | None",
) -> None:
    """Allows TensorRT to compute the two networks, and only those, in fewer bits.

    Args:
        config: Builder configuration to set the flags of.
        network: Network; its layers for boxes and NMS stay in float32.
        precision: `fp16` or `int8`.
        cache: TensorRT's calibration cache for INT8; None for fp16.
        profile: Optimization profile of a network with a free batch size; None for a fixed one.

    Raises:
        RunError: This TensorRT version does not support it.
    """
    import tensorrt as trt

    flag = getattr(trt.BuilderFlag, precision.upper(), None)
    if flag is None or (precision == "int8" and not hasattr(trt, "IInt8EntropyCalibrator2")):
        raise RunError(
            f"TensorRT {trt.__version__} cannot reduce the precision of a network; "
            f"export the model with data_type {precision} instead"
        )
    config.set_flag(flag)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    if cache is not None and precision == "int8":
        config.int8_calibrator = _calibrator(cache.read_bytes())
        if profile is not None:
            config.set_calibration_profile(profile)
    wide = trt.DataType.FLOAT
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        outputs = [place for place in range(layer.num_outputs) if layer.get_output_type(place) == wide]
        if not layer.name.startswith(_WIDE_SCOPES) or not outputs or layer.type == trt.LayerType.CONSTANT:
            continue
        layer.precision = wide
        for place in outputs:
            layer.set_output_type(place, wide)


def _calibrator(cache: bytes) -> "trt.IInt8EntropyCalibrator2":
    """Creates a calibrator with the scales of a cache and without images."""
    import tensorrt as trt

    class CachedScales(trt.IInt8EntropyCalibrator2):
        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: list[str]) -> list[int]:
            return cast(list[int], None)  # None ends the calibration; the stubs do not allow it

        def read_calibration_cache(self) -> bytes:
            return cache

        def write_calibration_cache(self, cache: object) -> None:
            """Does nothing: the cache already exists."""

    return CachedScales()
