"""What only TensorRT 10 does: compute in fewer bits by itself, where the file does not say in which types.

TensorRT 11 takes types from the file alone. pyright checks this module against the stubs of 10 only.
"""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from frcnn.errors import RunError

if TYPE_CHECKING:
    import tensorrt as trt

# Boxes and NMS: 16 bits have no room for a pixel's fraction at the right of a wide image.
_WIDE_SCOPES = ("proposals/", "roi_pool/", "detections/")


def narrow(
    config: "trt.IBuilderConfig",
    network: "trt.INetworkDefinition",
    precision: str,
    cache: Path | None,
    profile: "trt.IOptimizationProfile | None",
) -> None:
    """Lets TensorRT compute the two networks in fewer bits, and nothing else.

    Args:
        config: Gets the flags.
        network: Its layers of boxes and NMS are kept in float32.
        precision: `fp16` or `int8`.
        cache: TensorRT's calibration cache, for INT8.
        profile: Of a network whose batch size is free.

    Raises:
        RunError: This TensorRT does not.
    """
    import tensorrt as trt

    flag = getattr(trt.BuilderFlag, precision.upper(), None)
    if flag is None or (precision == "int8" and not hasattr(trt, "IInt8EntropyCalibrator2")):
        raise RunError(
            f"TensorRT {trt.__version__} narrows no network by itself; "
            f"export the model with --data_type {precision} instead"
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
    """Gives TensorRT the scales of a cache, and no images."""
    import tensorrt as trt

    class CachedScales(trt.IInt8EntropyCalibrator2):
        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: list[str]) -> list[int]:
            return cast(list[int], None)  # "no more", which the stubs do not know

        def read_calibration_cache(self) -> bytes:
            return cache

        def write_calibration_cache(self, cache: object) -> None:
            """It was not TensorRT that made them."""

    return CachedScales()
