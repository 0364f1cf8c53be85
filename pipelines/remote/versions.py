"""Supported releases of the Kubeflow Pipelines backend, and detection of a server's release."""

import re
from collections.abc import Mapping
from typing import Any

from frcnn.errors import UsageError

# Documented in docs/pipeline.md. The conformance tests check the compiled YAML against these releases.
OLDEST, NEWEST = (2, 15), (2, 17)
# Older than the tested releases, without known incompatibilities.
_OLDEST_WITHOUT_FAULTS = (2, 14)
# Field of the API server's response, its name in the UI server's response, and the UI's own release.
_KEYS = ("tag_name", "apiServerTagName", "frontendTagName")
_RELEASE = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


def release(health: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Reads the release from a server's health check.

    Args:
        health: Response of `/apis/v2beta1/healthz`.

    Returns:
        Release such as (2, 15, 0). `None` if it is not reported, as by custom builds.
    """
    for key in _KEYS:
        if found := _RELEASE.match(str(health.get(key) or "")):
            return _numbers(found)
    return None


def given(text: str) -> tuple[int, ...]:
    """Parses the value of `--server_release`.

    Args:
        text: Release such as 2.16 or 2.16.1.

    Returns:
        Release such as (2, 16).

    Raises:
        UsageError: The text is not a release, or names one that cannot run the pipeline.
    """
    found = _RELEASE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--server_release {text}: expected the release of the server, such as 2.16")
    line, refused = compatibility(_numbers(found))
    if refused:
        raise UsageError(f"--server_release {text}: {line}")
    return _numbers(found)


def _numbers(found: re.Match[str]) -> tuple[int, ...]:
    return tuple(int(part) for part in found.groups() if part is not None)


def compatibility(found: tuple[int, ...] | None) -> tuple[str, bool]:
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
