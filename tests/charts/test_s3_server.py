"""SeaweedFS with the chart's own arguments on a small disk takes writes to several buckets."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import time

import minio
import pytest
import urllib3

from tests.charts.conftest import find
from tests.support.s3_server import GUARDED, free_port_pairs, program

KEYS = ("frcnn", "hush-hush")
PORTS = ("-master.port", "-volume.port", "-filer.port", "-s3.port")
# The filer's own log and other collections have asked for their volumes by then.
SETTLED_SECONDS = 120


@pytest.fixture
def disk(tmp_path, request):
    """A file system of the size of the chart's volume; memory is used for what is written only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", str(folder)]
    if (
        os.geteuid()
        or shutil.which("mount") is None
        or subprocess.run(command, capture_output=True).returncode
    ):
        pytest.skip("no right to mount a file system here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def serving(arguments, folder, disk):
    """Runs `weed` with the container's arguments, but for folders and ports; yields a client."""
    ports = dict(zip(PORTS, free_port_pairs(len(PORTS)), strict=True))
    credentials = [{"accessKey": KEYS[0], "secretKey": KEYS[1]}]
    identity = {
        "name": "frcnn",
        "credentials": credentials,
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    own = {"-dir": str(disk), "-s3.config": str(folder / "s3.json"), **{k: str(v) for k, v in ports.items()}}
    kept = [each for each in arguments if each.partition("=")[0] not in own]
    local = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command = [str(program()), "-logdir", str(folder), *kept, *(f"{k}={v}" for k, v in own.items()), *local]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", GUARDED, "sh", *command], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=folder
        )
    try:
        yield minio.Minio(
            f"127.0.0.1:{ports['-s3.port']}",
            *KEYS,
            secure=False,
            region="us-east-1",
            http_client=urllib3.PoolManager(timeout=20, retries=False),
        )
    finally:
        process.communicate()


def until_it_works(action, seconds):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except (minio.error.MinioException, urllib3.exceptions.HTTPError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("disk", ["5g", "20g"], indirect=True)
def test_two_buckets_take_writes_once_the_server_has_settled(render, disk, tmp_path, request):
    storage = request.node.callspec.params["disk"].replace("g", "Gi")
    objects = render({"s3Server": {"enabled": True, "storage": storage}})
    pod = find(objects, "Deployment", "vision-frcnn-s3")["spec"]["template"]["spec"]
    with serving(pod["containers"][0]["args"], tmp_path, disk) as client:
        data = os.urandom(8 << 20)
        until_it_works(lambda: client.make_bucket("first"), 60)
        client.put_object("first", "early", io.BytesIO(data), len(data))
        time.sleep(SETTLED_SECONDS)
        for bucket in ("first", "second", "third"):
            if bucket != "first":
                client.make_bucket(bucket)
            for name in ("a", "b/c"):
                client.put_object(bucket, name, io.BytesIO(data), len(data))
                assert client.get_object(bucket, name).read() == data
