"""Manages GPU memory through NVIDIA's driver library, so that running engines needs no further package.

libcuda is part of the driver, independent of the CUDA version. Like TensorRT, this uses the primary context
of the device.
"""

import ctypes
from typing import Any

import numpy as np

from frcnn.errors import RunError

_LIBRARY = "libcuda.so.1"


class CudaDriver:
    """A GPU, and a stream on it. Addresses are integers, as TensorRT takes them.

    A thread must call `use` before other methods, because the driver keeps one current device per thread.
    """

    def __init__(self, library: Any = None, number: int = 0) -> None:
        """Opens the device.

        Args:
            library: Driver library; `None` to load it.
            number: Number of the GPU, from 0.

        Raises:
            RunError: There is no driver or no GPU.
        """
        self._library = library if library is not None else _load()
        device, context, stream = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuInit", ctypes.c_uint(0))
        self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(number))
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._context = context
        self.use()
        self._call("cuStreamCreate", ctypes.byref(stream), ctypes.c_uint(0))
        self._stream = stream

    def use(self) -> None:
        """Makes this device the current one of the calling thread."""
        self._call("cuCtxSetCurrent", self._context)

    @property
    def stream(self) -> int:
        """Handle of the stream."""
        return self._stream.value or 0

    def allocate(self, size: int) -> int:
        """Allocates `size` bytes on the device; returns the address."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(size, 1)))
        return address.value

    def free(self, address: int) -> None:
        """Frees memory from `allocate`."""
        self._call("cuMemFree_v2", ctypes.c_uint64(address))

    def to_device(self, address: int, array: np.ndarray) -> None:
        """Starts copying a contiguous array to the device."""
        self._call(
            "cuMemcpyHtoDAsync_v2",
            *(ctypes.c_uint64(address), ctypes.c_void_p(array.ctypes.data)),
            *(ctypes.c_size_t(array.nbytes), self._stream),
        )

    def to_host(self, array: np.ndarray, address: int) -> None:
        """Starts copying from the device to a contiguous array."""
        self._call(
            "cuMemcpyDtoHAsync_v2",
            *(ctypes.c_void_p(array.ctypes.data), ctypes.c_uint64(address)),
            *(ctypes.c_size_t(array.nbytes), self._stream),
        )

    def wait(self) -> None:
        """Waits until all work that was started is done."""
        self._call("cuStreamSynchronize", self._stream)

    def _call(self, name: str, *operands: Any) -> None:
        status = int(getattr(self._library, name)(*operands))
        if status:
            text = ctypes.c_char_p()
            self._library.cuGetErrorName(ctypes.c_int(status), ctypes.byref(text))
            reason = (text.value or b"unknown error").decode()
            raise RunError(f"TensorRT needs an NVIDIA GPU; the driver says {reason} ({name}: {status})")


def _load() -> Any:
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise RunError(
            f"TensorRT needs an NVIDIA GPU, and this machine has no driver for one ({_LIBRARY} not found)"
        ) from error
