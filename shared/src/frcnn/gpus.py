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
            f"this step was promised {_counted(promised)}, and the driver shows {found or 'none'}: it does not "
            "train on the CPU instead. Look at the limits of its pod (kubectl describe pod: nvidia.com/gpu), "
            "and whether the node's NVIDIA device plugin and container runtime are there"
        )


def require_tensorflow_gpus(promised: int) -> None:
    """Checks that TensorFlow can use as many GPUs as a step was promised; loads TensorFlow.

    Raises:
        RunError: It cannot; says what to look at.
    """
    if promised <= 0:
        return
    import tensorflow as tf

    found = len(tf.config.list_physical_devices("GPU"))
    if found < promised:
        raise RunError(
            f"this step was promised {_counted(promised)}, which the driver shows, but TensorFlow uses "
            f"{found or 'none'}: it does not train on the CPU instead. The image's TensorFlow is one for CPUs, "
            "or does not find its CUDA libraries; build the image with EXTRAS=train,cluster,gpu"
        )


def _counted(number: int) -> str:
    return "a GPU" if number == 1 else f"{number} GPUs"
