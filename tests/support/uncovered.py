"""Environments for child processes that coverage must not follow into."""

import os
from collections.abc import Mapping

# With one of these, a file of coverage's in site-packages starts it in every Python process.
_STARTERS = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")


def uncovered(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns an environment without the variables that start coverage in a child process.

    For children that are killed, that may not write files, or that have little memory: there coverage has
    nothing to add, and what it prints or leaves when it fails is not the child's. Children that are forked
    and killed by the hundred also run faster without it.
    """
    return {name: value for name, value in environment.items() if name not in _STARTERS}
