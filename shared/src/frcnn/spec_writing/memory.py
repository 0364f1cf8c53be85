"""Finds how much memory a training may use."""

import ctypes
from pathlib import Path
from typing import Any

from frcnn.gpus import DRIVER_LIBRARY, driver_gpus

_MEMINFO = Path("/proc/meminfo")
# Limits of the container: version 2 and version 1 of Linux's control groups.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_UNKNOWN = 8 << 30


def gpu_memory(library: Any = None) -> int:
    """Returns the memory of the first GPU, bytes; 0 without a GPU.

    Args:
        library: NVIDIA's driver library; `None` loads it.
    """
    if library is None:
        try:
            library = ctypes.CDLL(DRIVER_LIBRARY)
        except OSError:
            return 0
    if not driver_gpus(library):
        return 0
    device, size = ctypes.c_int(), ctypes.c_size_t()
    if library.cuDeviceGet(ctypes.byref(device), ctypes.c_int(0)):
        return 0
    return 0 if library.cuDeviceTotalMem_v2(ctypes.byref(size), device) else size.value


def main_memory(meminfo: Path = _MEMINFO, limits: tuple[Path, ...] = _LIMITS) -> int:
    """Returns the memory that this process may use, bytes: what is available, or the container's limit.

    Args:
        meminfo: Linux's description of the memory.
        limits: Files with the container's limit.
    """
    sizes = [_available(meminfo)]
    for path in limits:
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdigit():
            sizes.append(int(text))
    return min(sizes)


def _available(meminfo: Path) -> int:
    lines = meminfo.read_text().splitlines() if meminfo.is_file() else []
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return _UNKNOWN
