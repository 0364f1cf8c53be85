"""Builds TensorRT engines from exported files, with TensorRT 10.13 to 11.x; untested on a GPU.

TensorRT is imported on first use. `make typecheck` checks this file with pyright against the stubs of 10 and
11, which mypy cannot read. Features of 10 only are in `frcnn.exporting.tensorrt.engine_precision`.
"""

import dataclasses
import logging
from pathlib import Path
from typing import Literal

from frcnn.errors import ModelError, RunError, UsageError
from frcnn.exporting.record import ExportRecord
from frcnn.exporting.tensorrt.cuda_driver import CudaDriver
from frcnn.files import atomic_path
from frcnn.inference.onnx import read_record
from frcnn.sealing.sealed_file import opened

log = logging.getLogger(__name__)

Precision = Literal["fp32", "fp16", "int8"]
# Maximum length of a network's name. The name holds the export record, which the engine preserves.
LONGEST_NAME = 4095
# Last major version that contains the plugins of the plugin graph.
LAST_WITH_PLUGINS = 10


@dataclasses.dataclass(frozen=True)
class EngineSettings:
    """Settings of an engine.

    Attributes:
        precision: Precision; None for that of the exported file.
        batches: Minimum, most frequent and maximum batch size.
        workspace_gib: Memory that tactics may use, GiB.
        calibration_cache: TensorRT's calibration cache, for INT8 from a file that is not quantized.
        timing_cache: File of tactic timings; read if it exists, and written.
    """

    precision: Precision | None = None
    batches: tuple[int, int, int] = (1, 1, 1)
    workspace_gib: float = 2.0
    calibration_cache: Path | None = None
    timing_cache: Path | None = None

    @staticmethod
    def batches_of(fewest: int | None, usual: int | None, most: int | None) -> tuple[int, int, int]:
        """Completes `batches`; None is replaced by the smallest valid number.

        Args:
            fewest: Minimum batch size; None for 1.
            usual: Most frequent batch size; raised to `fewest`.
            most: Maximum batch size; raised to `usual`.

        Returns:
            Minimum, most frequent and maximum batch size.
        """
        fewest = 1 if fewest is None else fewest
        usual = max(fewest, 1 if usual is None else usual)
        return fewest, usual, max(usual, 1 if most is None else most)

    def __post_init__(self) -> None:
        """Raises UsageError for an invalid value."""
        fewest, usual, most = self.batches
        if not 1 <= fewest <= usual <= most:
            raise UsageError(
                f"min_batch_size {fewest}, opt_batch_size {usual}, max_batch_size {most}: "
                "expected 1 <= min <= opt <= max",
                argument="min_batch_size",
            )
        if not self.workspace_gib > 0:
            raise UsageError(
                f"max_workspace_size {self.workspace_gib:g}: expected more than 0 GiB",
                argument="max_workspace_size",
            )
        cache = self.calibration_cache
        if cache is not None and not cache.is_file():
            raise UsageError(
                f"cal_cache_file {cache}: no such file; an export with data_type int8 creates it",
                argument="cal_cache_file",
            )


def build_engine(onnx_path: Path, output: Path, settings: EngineSettings, key: str = "") -> None:
    """Builds an engine for this machine's GPU and writes it atomically.

    Args:
        onnx_path: Exported `.onnx` file or sealed `.etlt` file, of either graph.
        output: Engine file, a plain TensorRT plan.
        settings: Settings of the engine.
        key: Key of a sealed file. The engine is never sealed.

    Raises:
        ModelError: The file was not exported by this program, or TensorRT rejects it.
        UsageError: The settings do not fit the file.
        RunError: There is no GPU, or TensorRT is not installed.
    """
    with opened(onnx_path, key, "onnx") as plain:
        record = read_record(plain, onnx_path)
        precision = _added_precision(record, settings, onnx_path)
        require_gpu()
        builder = _EngineBuilder(settings, precision)
        builder.read(plain, onnx_path, record)
        plan, timing = builder.build(onnx_path)
    with atomic_path(output) as temporary:
        temporary.write_bytes(plan)
    if settings.timing_cache is not None:
        with atomic_path(settings.timing_cache) as temporary:
            temporary.write_bytes(timing)


def require_gpu() -> None:
    """Raises RunError with a one-line message if there is no GPU or no TensorRT."""
    CudaDriver()
    require_tensorrt()


def require_tensorrt() -> None:
    """Raises RunError with installation instructions if TensorRT is missing."""
    try:
        import tensorrt as trt
    except ImportError as error:
        raise RunError(_MISSING) from error
    # The stubs alone are importable as an empty package.
    if not hasattr(trt, "Builder"):
        raise RunError(_MISSING)


def major_version() -> int:
    """Returns TensorRT's major version."""
    import tensorrt as trt

    return int(trt.__version__.partition(".")[0])


_MISSING = (
    "TensorRT is not installed here; on a machine with an NVIDIA GPU, run pip install 'tensorrt>=10.13,<12'"
)


def _added_precision(record: ExportRecord, settings: EngineSettings, path: Path) -> str | None:
    """Returns the precision to narrow the network to; None to use the file's types."""
    wanted = settings.precision or record.precision
    if wanted == record.precision:
        return None
    if record.precision != "fp32" or wanted == "fp32":
        raise UsageError(
            f"data_type {wanted}: {path} was exported as {record.precision}; "
            f"export it again with data_type {wanted}",
            argument="data_type",
        )
    if wanted == "int8" and settings.calibration_cache is None:
        raise UsageError(
            f"data_type int8: {path} is not quantized; export it with data_type int8 and int8_profile "
            "tensorrt, or give TensorRT's cache as cal_cache_file",
            argument="data_type",
        )
    return wanted


class _EngineBuilder:
    def __init__(self, settings: EngineSettings, precision: str | None) -> None:
        import tensorrt as trt

        self.settings, self.precision = settings, precision
        self.logger = trt.Logger(trt.Logger.WARNING)
        trt.init_libnvinfer_plugins(self.logger, "")
        self.builder = trt.Builder(self.logger)
        self.network = self.builder.create_network(self._network_flags())
        self.config = self.builder.create_builder_config()
        self.profile: trt.IOptimizationProfile | None = None

    def _network_flags(self) -> int:
        import tensorrt as trt

        # Use the types in the file, unless TensorRT must choose narrower ones.
        strongly = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        return 0 if self.precision is not None or strongly is None else 1 << int(strongly)

    def read(self, plain: Path, shown: Path, record: ExportRecord) -> None:
        """Parses the file; stores the export record as the network's name, which engines keep."""
        import tensorrt as trt

        if record.graph == "plugin" and major_version() > LAST_WITH_PLUGINS:
            raise UsageError(
                f"{shown}: has the plugin graph, whose plugins TensorRT {trt.__version__} lacks; "
                f"export it with the standard graph, or build the engine with TensorRT {LAST_WITH_PLUGINS}"
            )
        parser = trt.OnnxParser(self.network, self.logger)
        if not parser.parse_from_file(str(plain)):
            reasons = "; ".join(parser.get_error(index).desc() for index in range(parser.num_errors))
            raise ModelError(f"{shown}: TensorRT cannot parse it: {reasons}")
        name = record.to_json()
        if len(name.encode()) <= LONGEST_NAME:
            self.network.name = name
        else:
            log.warning(
                "%s: the class names do not fit into the engine; the spec's class names will be used", shown
            )

    def build(self, shown: Path) -> tuple[bytes, bytes]:
        """Returns the serialized engine and timing cache."""
        import tensorrt as trt

        workspace = int(self.settings.workspace_gib * 2**30)
        self.config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
        self._add_profile(shown)
        if self.precision is not None:
            self._narrow()
        cache_file = self.settings.timing_cache
        known = cache_file.read_bytes() if cache_file is not None and cache_file.is_file() else b""
        self.config.set_timing_cache(self.config.create_timing_cache(known), ignore_mismatch=False)
        plan = self.builder.build_serialized_network(self.network, self.config)
        if plan is None:
            raise ModelError(f"{shown}: TensorRT could not build an engine; see its log above")
        return bytes(memoryview(plan)), bytes(memoryview(self.config.get_timing_cache().serialize()))

    def _add_profile(self, shown: Path) -> None:
        import tensorrt as trt

        image = self.network.get_input(0)
        batch, *sides = (int(side) for side in image.shape)
        if -1 in sides or self.network.num_inputs > 1:
            raise UsageError(f"{shown}: has a dynamic image size; engines support one size only")
        if batch != -1:
            if set(self.settings.batches) not in ({1}, {batch}):
                raise UsageError(f"{shown}: was exported for batches of {batch}; omit the batch sizes")
            return
        profile = self.builder.create_optimization_profile()
        shapes = [trt.Dims4([count, *sides]) for count in self.settings.batches]
        profile.set_shape(image.name, *shapes)
        self.config.add_optimization_profile(profile)
        self.profile = profile

    def _narrow(self) -> None:
        """Allows TensorRT to compute the two networks, and only those, in fewer bits."""
        from frcnn.exporting.tensorrt.engine_precision import narrow

        narrow(self.config, self.network, self.precision or "", self.settings.calibration_cache, self.profile)
