"""The exported detector that the tests of the export share."""

from tests.unit.exporting.conftest import converted_once, exported  # noqa: F401
