"""What this machine's CPU can do."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# As Linux names them: Intel and AMD, Intel's matrix units, ARM.
BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


def has_bfloat16(cpuinfo: Path = CPUINFO) -> bool:
    """Whether it multiplies bfloat16 numbers in hardware; without, mixed precision has nothing to gain.

    Args:
        cpuinfo: What Linux says of the CPU; where there is no such file the answer is no.
    """
    if not cpuinfo.is_file():
        return False
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return not BFLOAT16.isdisjoint(flags.split())
