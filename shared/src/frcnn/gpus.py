"""Checks the number of GPUs of a step, before any slow import."""

import ctypes
from pathlib import Path
from typing import Any

from frcnn.errors import RunError

DRIVER_LIBRARY = "libcuda.so.1"
DRIVER_FILE = Path("/proc/driver/nvidia/version")


def driver_gpus(library: Any = None) -> int:
    """Counts the GPUs that NVIDIA's driver shows to this process, without loading TensorFlow.

    Args:
        library: The driver's library; `None` loads it.

    Returns:
        Number of GPUs; 0 if the driver is missing or does not work.
    """
    if library is None:
        try:
            library = ctypes.CDLL(DRIVER_LIBRARY)
        except OSError:
            return 0
    count = ctypes.c_int()
    if library.cuInit(ctypes.c_uint(0)) or library.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def require_driver_gpus(requested: int, library: Any = None) -> None:
    """Checks that the driver provides as many GPUs as requested for the step.

    Args:
        requested: Requested number of GPUs; 0 disables the check.
        library: The driver's library; `None` loads it.

    Raises:
        RunError: There are fewer GPUs.
    """
    found = driver_gpus(library) if requested > 0 else 0
    if found < requested:
        raise RunError(
            f"This step requested {counted(requested)}, but the driver provides {found or 'none'}. It does "
            "not fall back to the CPU. Check the limits of the pod (kubectl describe pod: nvidia.com/gpu) "
            "and whether the node has NVIDIA's device plugin and container runtime."
        )


def counted(number: int) -> str:
    """Formats a number of GPUs, such as `a GPU` or `2 GPUs`.

    Args:
        number: Number of GPUs.
    """
    return "a GPU" if number == 1 else f"{number} GPUs"
