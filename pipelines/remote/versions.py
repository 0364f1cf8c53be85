"""Supported releases of the Kubeflow Pipelines backend, and detection of a server's release."""

import re
from collections.abc import Mapping
from typing import Any

# Documented in docs/pipeline.md. The conformance tests check the compiled YAML against these releases.
OLDEST, NEWEST = (2, 15), (2, 17)
# Older than the tested releases, without known incompatibilities.
_OLDEST_WITHOUT_FAULTS = (2, 14)
# Field of the API server's response, its name in the UI server's response, and the UI's own release.
_KEYS = ("tag_name", "apiServerTagName", "frontendTagName")


def release(health: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Reads the release from a server's health check.

    Args:
        health: Response of `/apis/v2beta1/healthz`.

    Returns:
        Release such as (2, 15, 0). `None` if it is not reported, as by custom builds.
    """
    for key in _KEYS:
        found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", str(health.get(key) or ""))
        if found:
            return tuple(int(part) for part in found.groups() if part is not None)
    return None


def objection(found: tuple[int, ...] | None) -> tuple[str, bool]:
    """Explains in one line why a release may not run the pipeline.

    Args:
        found: Release from `release`.

    Returns:
        Tuple of the line, empty for tested and unknown releases, and whether the release is too old.
    """
    if found is None or OLDEST <= found[:2] <= NEWEST:
        return "", False
    named = f"Kubeflow Pipelines {shown(found)}"
    if found[:2] > NEWEST:
        return f"{named} is newer than {shown(NEWEST)}, the newest release tested with this pipeline", False
    too_old = found[:2] < _OLDEST_WITHOUT_FAULTS
    return (
        f"{named} is older than {shown(OLDEST)}, the oldest release "
        f"{'that runs this pipeline. Upgrade it' if too_old else 'tested with this pipeline'}",
        too_old,
    )


def shown(numbers: tuple[int, ...]) -> str:
    """Formats a release, for example as 2.15.

    Args:
        numbers: Numbers of the release.
    """
    return ".".join(str(number) for number in numbers)
