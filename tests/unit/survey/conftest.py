import pytest

from tests.support.planted_faults import clean_set


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A drawn data set without faults; read only."""
    return clean_set(tmp_path_factory.mktemp("drawn"))
