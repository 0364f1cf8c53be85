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
# Variable that makes TensorFlow use oneDNN. By default it does so on CPUs with AVX-512 VNNI only.
ONEDNN_SWITCH = "TF_ENABLE_ONEDNN_OPTS"
_WITHOUT_AVX512 = frozenset({"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2"})


def usable_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def choose_onednn(cpuinfo: Path = CPUINFO) -> None:
    """Makes TensorFlow use oneDNN on every x86 CPU with AVX2, unless the user has chosen.

    Call it before TensorFlow is imported. See docs/adr/0084-onednn-without-avx512.md for what it gains.

    Args:
        cpuinfo: File with Linux's description of the CPU. Without it nothing is chosen.
    """
    if "avx2" in _flags(cpuinfo):
        os.environ.setdefault(ONEDNN_SWITCH, "1")


def onednn_without_avx512(cpuinfo: Path = CPUINFO) -> bool:
    """Checks whether oneDNN computes without AVX-512, for which some of its routes are slow.

    Args:
        cpuinfo: File with Linux's description of the CPU. Without it the result is false.
    """
    flags = _flags(cpuinfo)
    limited = os.environ.get(ONEDNN_LIMIT, "").upper() in _WITHOUT_AVX512
    return "avx2" in flags and (limited or "avx512f" not in flags) and os.environ.get(ONEDNN_SWITCH) != "0"


def _flags(cpuinfo: Path) -> frozenset[str]:
    if not cpuinfo.is_file():
        return frozenset()
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    return frozenset(next((line for line in lines if line.startswith(("flags", "Features"))), "").split())
