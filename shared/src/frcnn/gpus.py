"""GPUs that a step was promised, counted before anything is loaded that takes long."""

import ctypes
from typing import Any

from frcnn.errors import RunError

DRIVER_LIBRARY = "libcuda.so.1"


def driver_gpus(library: Any = None) -> int:
    """Counts the GPUs that NVIDIA's driver shows to this process, in a fraction of a second.

    Args:
        library: The driver's library; None loads it.

    Returns:
        0 also where there is no driver, or one that does not work.
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


def require_driver_gpus(promised: int, library: Any = None) -> None:
    """Checks that the driver shows as many GPUs as a step was promised.

    Args:
        promised: Their number; 0 checks nothing.
        library: As of `driver_gpus`.

    Raises:
        RunError: There are fewer; says what to look at.
    """
    found = driver_gpus(library) if promised > 0 else 0
    if found < promised:
        raise RunError(
            f"this step was promised {counted(promised)}, and the driver shows {found or 'none'}: it does "
            "not train on the CPU instead. Look at the limits of its pod (kubectl describe pod: "
            "nvidia.com/gpu), and whether the node's NVIDIA device plugin and container runtime are there"
        )


def counted(number: int) -> str:
    """Writes a number of GPUs in words."""
    return "a GPU" if number == 1 else f"{number} GPUs"
