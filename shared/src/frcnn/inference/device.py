"""Parses device names: `auto`, `cpu`, `gpu` or `gpu:<number>`."""

import re

from frcnn.errors import UsageError

_DEVICE = re.compile(r"auto|cpu|gpu(?::(?P<number>\d+))?")


def gpu_number(device: str) -> int | None:
    """Returns the number of the GPU that a device name refers to.

    Args:
        device: Device name.

    Returns:
        Number from 0; None for `auto` and `cpu`.

    Raises:
        UsageError: The device name is invalid.
    """
    match = _DEVICE.fullmatch(device) if isinstance(device, str) else None
    if match is None:
        raise UsageError(
            f"device {device!r}: expected 'auto', 'cpu', 'gpu' or 'gpu:<number>'", argument="device"
        )
    return int(match["number"] or 0) if device.startswith("gpu") else None
