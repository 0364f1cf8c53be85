"""A real S3 server for the tests here, started once, and stores that talk to it."""

import dataclasses
import itertools

import pytest

from frcnn.storage import Store, packing
from frcnn.storage.settings import Settings
from tests.support import s3_server
from tests.support.bad_link import bad_link

MIB = 1 << 20
# The least that S3 takes for a part that is not the last.
PIECE = 5 * MIB
_numbers = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with s3_server.running(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def link(server):
    with bad_link(server.port) as link:
        yield link


@pytest.fixture
def uri():
    """An address that no other test uses."""
    return f"s3://{s3_server.BUCKET}/test-{next(_numbers)}/artifact"


@pytest.fixture
def settings(server):
    return Settings.from_environment({**server.environment(), "S3_PATIENCE_SECONDS": "30"})


@pytest.fixture
def store(settings):
    return Store(settings)


@pytest.fixture
def through(link, settings):
    """A store that reaches the server over `link`; takes other settings."""

    def make(**others):
        return Store(dataclasses.replace(settings, **{"endpoint": link.endpoint, **others}))

    return make


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(packing, "PIECE_BYTES", PIECE)
    monkeypatch.setattr(packing, "PACK_BYTES", 4 * PIECE)
