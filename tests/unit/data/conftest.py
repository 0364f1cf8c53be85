import pytest

from tests.support.loading import loading_spec, source, write_records


@pytest.fixture
def make(tmp_path):
    """Writes records into a file and gives a spec that reads them."""

    def build(records, **changes):
        write_records(tmp_path / "set-fold-000-of-001", records)
        return loading_spec(source(tmp_path / "set*", tmp_path), **changes)

    return build
