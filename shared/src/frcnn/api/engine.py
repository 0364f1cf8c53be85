"""TensorRT engine that `frcnn.export` builds from the exported file."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.api.locations import Location, local_output
from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.exporting.tensorrt.engine import EngineSettings

_GIB = 2**30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
    """TensorRT engine to build from the exported file for this machine's GPU.

    Attributes:
        engine_file: Output file.
        min_batch_size: Minimum number of images per batch.
        opt_batch_size: Most frequent number of images per batch, for which TensorRT optimizes.
        max_batch_size: Maximum number of images per batch.
        max_workspace_size: Memory for tactics, bytes.
        timing_cache: File of tactic timings that speeds up the next build; read if it exists, and written.
    """

    engine_file: Location
    min_batch_size: int | None = None
    opt_batch_size: int | None = None
    max_batch_size: int | None = None
    max_workspace_size: int = 2 * _GIB
    timing_cache: Location | None = None

    def file(self) -> Path:
        """Returns the output file."""
        return local_output(self.engine_file, "engine_file")


def engine_settings(engine: Engine, int8_profile: str | None) -> "EngineSettings":
    """Resolves the settings of an engine.

    Args:
        engine: Engine to build.
        int8_profile: Requested form of an INT8 graph; None for the default.

    Returns:
        The settings.

    Raises:
        UsageError: TensorRT does not run this form of the graph, or a batch size is invalid.
        RunError: There is no GPU or no TensorRT.
    """
    if int8_profile not in (None, "tensorrt"):
        raise UsageError(
            f"int8_profile {int8_profile}: TensorRT requires the profile tensorrt; "
            "omit int8_profile with an engine",
            argument="int8_profile",
        )
    from frcnn.exporting.tensorrt.engine import EngineSettings, require_gpu

    cache = None if engine.timing_cache is None else local_output(engine.timing_cache, "timing_cache")
    settings = EngineSettings(
        batches=EngineSettings.batches_of(
            engine.min_batch_size, engine.opt_batch_size, engine.max_batch_size
        ),
        workspace_gib=engine.max_workspace_size / _GIB,
        timing_cache=cache,
    )
    require_gpu()
    return settings
