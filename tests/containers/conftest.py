"""One daemon, one set of images and one S3 server for all container tests."""

import json
import sys
import time

import pytest

from frcnn.errors import StoreError
from frcnn.storage import Store
from frcnn.storage.settings import Settings
from tests.support import containers
from tests.support.containers import BASE, BUCKET, KEYS, NETWORK, docker

SERVER, PORT = "frcnn-test-s3", 8333


@pytest.fixture(scope="session")
def engine():
    if reason := containers.missing():
        pytest.skip(reason)
    with containers.daemon() as environment:
        yield environment


@pytest.fixture(scope="session")
def images(engine):
    sizes = containers.build_images(engine)
    sys.stdout.write(f"\n{sizes}")
    return sizes


@pytest.fixture(scope="session")
def s3(engine, images, tmp_path_factory):
    """SeaweedFS in a container; its endpoint as this machine sees it."""
    from tests.support.s3_server import program

    identity = {
        "name": "minio",
        "credentials": [{"accessKey": "minio", "secretKey": "minio123"}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    folder = tmp_path_factory.mktemp("s3")
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    docker(engine, "rm", "-f", SERVER, check=False)
    docker(engine, "network", "create", NETWORK, check=False)
    docker(
        engine, "run", "-d", "--name", SERVER, "--network", NETWORK,
        "-v", f"{program()}:/weed:ro", "-v", f"{folder}:/config:ro", BASE,
        "/weed", "mini", "-dir=/tmp", "-ip.bind=0.0.0.0", f"-s3.port={PORT}", "-s3.config=/config/s3.json",
        f"-bucket={BUCKET}", "-webdav=false", "-admin.ui=false", "-master.telemetry=false",
        "-s3.port.iceberg=0", "-s3.port.lance=0",
    )  # fmt: skip
    form = f'{{{{(index .NetworkSettings.Networks "{NETWORK}").IPAddress}}}}'
    address = docker(engine, "inspect", "--format", form, SERVER).stdout.strip()
    endpoint = f"http://{address}:{PORT}"
    wait_for_a_put(endpoint)
    yield endpoint
    docker(engine, "rm", "-f", SERVER)
    docker(engine, "network", "rm", NETWORK)


def wait_for_a_put(endpoint):
    """Its port answers before it can write."""
    store = Store(Settings.from_environment({"S3_ENDPOINT": endpoint, **KEYS, "S3_PATIENCE_SECONDS": "0"}))
    for _ in range(120):
        try:
            store.write(f"s3://{BUCKET}/ready", b"yes")
            return
        except StoreError:
            time.sleep(0.5)
    raise AssertionError(f"{endpoint} takes no put")
