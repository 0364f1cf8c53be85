"""Which releases of the Kubeflow Pipelines backend run the pipeline, and which one a server is."""

import re
from collections.abc import Mapping
from typing import Any

# What docs/pipeline.md says, and the conformance tests hold the compiled YAML against.
OLDEST, NEWEST = (2, 15), (2, 17)
# Not tested, but without anything known that would not run there.
_OLDEST_WITHOUT_FAULTS = (2, 14)
# The API server's own answer, what the UI's server makes of it, and the UI's own release.
_KEYS = ("tag_name", "apiServerTagName", "frontendTagName")


def release(health: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Reads the release that a server's health check names.

    Args:
        health: Answer of `/apis/v2beta1/healthz`.

    Returns:
        Such as (2, 15, 0); None where it names none, as one that somebody built himself.
    """
    for key in _KEYS:
        found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", str(health.get(key) or ""))
        if found:
            return tuple(int(part) for part in found.groups() if part is not None)
    return None


def objection(found: tuple[int, ...] | None) -> tuple[str, bool]:
    """Says in one line what is wrong with a release.

    Args:
        found: From `release`.

    Returns:
        The line, empty if there is nothing to say; and whether the pipeline cannot run there.
    """
    if found is None or OLDEST <= found[:2] <= NEWEST:
        return "", False
    named = f"Kubeflow Pipelines {shown(found)}"
    if found[:2] > NEWEST:
        return f"{named} is newer than {shown(NEWEST)}, the newest that this pipeline was checked with", False
    too_old = found[:2] < _OLDEST_WITHOUT_FAULTS
    return (
        f"{named} is older than {shown(OLDEST)}, the oldest that this pipeline "
        f"{'runs on: upgrade it' if too_old else 'was checked with'}",
        too_old,
    )


def shown(numbers: tuple[int, ...]) -> str:
    """Writes a release as people do."""
    return ".".join(str(number) for number in numbers)
