"""Measures speed and peak memory of dataset_convert on synthetic KITTI data sets; prints a table.

    python -m benchmarks.convert            1,000 and 10,000 images
    python -m benchmarks.convert --large    100,000 images too

Images are hard links to a few generated ones of 240x320 pixels (about 37 kB) with 1 to 6 boxes each. Each
data set is converted once before the measurement to warm up the file cache. Each conversion runs in a
separate process.
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from frcnn.settings.conversion import conversion_settings

SIZES = (1_000, 10_000)
LARGE = 100_000
DRAWN = 50
SHARDS = 10
# Largest number of images to embed: at 37 kB per image, more could fill the disk.
MAX_EMBEDDED = 10_000


@dataclasses.dataclass(frozen=True)
class Result:
    """Measurements of one conversion.

    Attributes:
        seconds: Wall time without program start.
        cpu_seconds: CPU time without program start.
        parent_mib: Peak memory of the main process, MiB.
        worker_mib: Peak memory of the largest worker, MiB; 0 without workers.
    """

    seconds: float
    cpu_seconds: float
    parent_mib: float
    worker_mib: float


def main() -> int:
    """Runs the benchmark and returns the exit code."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    flags.add_argument("--large", action="store_true", help=f"also convert {LARGE} images")
    flags.add_argument(
        "--workers",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="worker processes (default: one per core)",
    )
    flags.add_argument("--convert", nargs=4, help=argparse.SUPPRESS)
    args = flags.parse_args()
    if args.convert:
        root, output, embed, workers = args.convert
        sys.stdout.write(json.dumps(dataclasses.asdict(_convert(root, output, embed == "1", int(workers)))))
        return 0
    table = Table(title=f"dataset_convert, {args.workers} workers, {SHARDS} shards per fold")
    for heading in ("images", "embedded", "images/s", "CPU ms/image", "MiB, main process", "MiB, one worker"):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory(prefix="frcnn-convert-") as folder:
        for size in SIZES + ((LARGE,) if args.large else ()):
            root = _make_set(Path(folder) / str(size), size)
            for embed in (False, True)[: 1 + (size <= MAX_EMBEDDED)]:
                _measure(root, embed, args.workers)
                result = _measure(root, embed, args.workers)
                table.add_row(
                    f"{size}",
                    "yes" if embed else "no",
                    f"{size / result.seconds:.0f}",
                    f"{1000 * result.cpu_seconds / size:.2f}",
                    f"{result.parent_mib:.0f}",
                    f"{result.worker_mib:.0f}" if result.worker_mib else "none",
                )
    Console().print(table)
    return 0


def _make_set(root: Path, size: int) -> Path:
    """Makes a data set of hard links to a few generated images."""
    from frcnn.demo.dataset import write_demo_data

    drawn = root.parent / "drawn"
    if not drawn.exists():
        write_demo_data(drawn, images=DRAWN, seed=42, height=240, width=320)
    for folder, ending in (("images", ".jpg"), ("labels", ".txt")):
        (root / folder).mkdir(parents=True)
        for number in range(size):
            source = drawn / folder / f"{number % DRAWN:06d}{ending}"
            (root / folder / f"{number:06d}{ending}").hardlink_to(source)
    return root


def _measure(root: Path, embed: bool, workers: int) -> Result:
    """Converts a data set in a separate process."""
    with tempfile.TemporaryDirectory(dir=root.parent) as output:
        words = [str(root), f"{output}/records", str(int(embed)), str(workers)]
        command = [sys.executable, "-m", "benchmarks.convert", "--convert", *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Result(**json.loads(done.stdout))


def _convert(root: str, output: str, embed: bool, workers: int) -> Result:
    """Converts a data set in this process."""
    from frcnn.data.conversion.convert import convert
    from frcnn.spec.schema.export import DatasetExportConfig, KITTIConfig

    config = KITTIConfig(
        root_directory_path=root,
        image_dir_name="images",
        label_dir_name="labels",
        image_extension=".jpg",
        partition_mode="random",
        num_partitions=2,
        num_shards=SHARDS,
        val_split=20.0,
    )
    spec = DatasetExportConfig(kitti_config=config)
    watch = _WorkerMemory()
    watch.start()
    before, started = _cpu_seconds(), time.perf_counter()
    convert(conversion_settings(spec), Path(output), embed_images=embed, workers=workers)
    seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - before
    watch.done.set()
    watch.join()
    return Result(seconds, cpu_seconds, _peak_mib(os.getpid()), watch.peak_mib)


class _WorkerMemory(threading.Thread):
    """Thread that records the peak memory of the worker processes until `done` is set."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.peak_mib = 0.0

    def run(self) -> None:
        while not self.done.wait(0.05):
            for process in multiprocessing.active_children():
                self.peak_mib = max(self.peak_mib, _peak_mib(process.pid))


def _peak_mib(pid: int | None) -> float:
    """Returns the kernel's peak resident memory; ru_maxrss would include the parent's memory before exec."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if "VmHWM" in line), 0.0)


def _cpu_seconds() -> float:
    """Returns CPU seconds of this process and of its terminated workers."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    sys.exit(main())
