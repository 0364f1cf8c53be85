"""Detects features of the CPU."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# Names in Linux: Intel and AMD, Intel's matrix units, ARM.
BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


def has_bfloat16(cpuinfo: Path = CPUINFO) -> bool:
    """Checks whether the CPU multiplies bfloat16 in hardware. Otherwise mixed precision has no benefit.

    Args:
        cpuinfo: File with Linux's description of the CPU. Without it the result is false.
    """
    if not cpuinfo.is_file():
        return False
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return not BFLOAT16.isdisjoint(flags.split())
