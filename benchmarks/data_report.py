"""Measures time and peak memory of `frcnn data report` on many synthetic labels.

    python -m benchmarks.data_report                       100,000 objects on 12,500 images
    python -m benchmarks.data_report --objects 1000000     a million, on 125,000 images

Labels are random; the images are links to a few drawn ones, so that a million images take little space. The
report runs in a process of its own, whose user time and peak memory are those that the system reports.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from frcnn.demo.shapes import CLASSES, draw_scene

PER_IMAGE = 8
DRAWN = 20
HEIGHT, WIDTH = 240, 320


def main() -> None:
    """Runs the benchmark and prints one table."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--objects", type=int, default=100_000, help="number of objects (default: 100000)")
    flags.add_argument("--compare", type=int, default=0, help="images to compare for similarity (default: 0)")
    flags.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    args = flags.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "set")
        images = _write_set(root, args.objects // PER_IMAGE)
        command = [
            *(sys.executable, "-m", "frcnn", "data", "report", str(root), "-o", str(Path(folder, "out"))),
            *("--compare", str(args.compare), "--workers", str(args.workers)),
        ]
        started = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = {
        "images": f"{images:,}",
        "objects": f"{images * PER_IMAGE:,}",
        "images compared for similarity": f"{min(args.compare, images):,}",
        "elapsed, s": f"{seconds:.1f}",
        "user CPU, s": f"{used.ru_utime:.1f}",
        "peak memory, MiB": f"{used.ru_maxrss / 1024:.0f}",
    }
    width = max(map(len, rows))
    sys.stdout.write("".join(f"{name:<{width}}  {value:>12}\n" for name, value in rows.items()))


def _write_set(root: Path, images: int) -> int:
    """Writes a data set in KITTI layout; returns its number of images."""
    for name in ("drawn", "images", "labels"):
        (root / name).mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(DRAWN):
        scene, _ = draw_scene(np.random.default_rng([0, number]), HEIGHT, WIDTH)
        scene.save(root / "drawn" / f"{number}.jpg")
    for number in range(images):
        corners = random.uniform(0, [WIDTH - 80, HEIGHT - 80], (PER_IMAGE, 2))
        sides = np.exp(random.uniform(np.log(4), np.log(80), (PER_IMAGE, 2)))
        lines = [
            f"{CLASSES[at % len(CLASSES)]} 0 0 0 {x:.1f} {y:.1f} {x + w:.1f} {y + h:.1f} 0 0 0 0 0 0 0\n"
            for at, ((x, y), (w, h)) in enumerate(zip(corners, sides, strict=True))
        ]
        (root / "labels" / f"{number:07d}.txt").write_text("".join(lines))
        os.link(root / "drawn" / f"{number % DRAWN}.jpg", root / "images" / f"{number:07d}.jpg")
    return images


if __name__ == "__main__":
    main()
