"""Environment for programs that a test interrupts, kills or limits."""

import os
from collections.abc import Mapping


def unmeasured(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns an environment, by default that of this process, without coverage's settings.

    coverage 7.17 takes a lock in Python code while it traces: an exception that a signal handler raises there
    leaves the lock taken, and the program hangs. A limit on the size of files holds for its data file, too.
    """
    return {name: value for name, value in environment.items() if not name.startswith("COVERAGE_")}
