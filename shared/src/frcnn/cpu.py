"""Detects features of the CPU."""

import os
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# Names in Linux: Intel and AMD, Intel's matrix units, ARM.
BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
# Variable that limits oneDNN's instructions, and its values that leave none for bfloat16 on any CPU.
ONEDNN_LIMIT = "ONEDNN_MAX_CPU_ISA"
_WITHOUT_BFLOAT16 = frozenset({"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"})
VNNI = frozenset({"avx512_vnni", "avx_vnni"})


def has_bfloat16(cpuinfo: Path = CPUINFO) -> bool:
    """Checks whether oneDNN multiplies bfloat16 in hardware. Otherwise mixed precision has no benefit.

    Args:
        cpuinfo: File with Linux's description of the CPU. Without it the result is false.
    """
    if bfloat16_ruled_out():
        return False
    return not BFLOAT16.isdisjoint(_flags(cpuinfo))


def bfloat16_ruled_out() -> bool:
    """Checks whether oneDNN's variable rules out bfloat16, on which TensorFlow then crashes."""
    return os.environ.get(ONEDNN_LIMIT, "").upper() in _WITHOUT_BFLOAT16


def saturates_int8(cpuinfo: Path = CPUINFO) -> bool:
    """Checks whether the CPU adds products of 8 bits in 16 bits: x86 without VNNI.

    Args:
        cpuinfo: File with Linux's description of the CPU. Without it the result is false.
    """
    flags = _flags(cpuinfo)
    return "sse2" in flags and VNNI.isdisjoint(flags)


def _flags(cpuinfo: Path) -> frozenset[str]:
    if not cpuinfo.is_file():
        return frozenset()
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    return frozenset(next((line for line in lines if line.startswith(("flags", "Features"))), "").split())
