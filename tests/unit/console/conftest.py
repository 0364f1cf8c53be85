"""Child processes that the tests of the command line share."""

from tests.unit.cli.conftest import environment, process_left_alone, python  # noqa: F401
