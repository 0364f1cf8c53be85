"""Measures the input pipeline at 384x1248, in images per second, and compares it with the train step.

    python -m benchmarks.input_pipeline             JPEG images of 375x1242 from record files
    python -m benchmarks.input_pipeline --images 200 --batch_size 4

Each row reads, decodes, resizes, augments and batches images. Images per second (wall time) depend on the
current load of the machine; CPU time per image does not. The last column is the speed relative to the train
step of ResNet-18 (batch size 1, data from memory, run alone).
"""

import argparse
import dataclasses
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.conditions import Conditions
from benchmarks.run_speed import worker_environment
from benchmarks.workers import Worker
from frcnn.data.input.dataset import training_dataset, worker_threads
from frcnn.data.records.annotations import ImageRecord, Label
from frcnn.data.records.example import encode
from frcnn.data.records.tfrecord import frame
from frcnn.settings.data import data_settings
from frcnn.spec import Experiment, load_experiment
from frcnn.spec.schema.data import (
    AugmentationConfig,
    ColorAugmentation,
    DataSource,
    Preprocessing,
    SpatialAugmentation,
)
from frcnn.spec.schema.model import SizeHeightWidth

SPEC = Path(__file__).parents[1] / "examples" / "specs" / "kitti_resnet18.txt"
STORED = (375, 1242)
NETWORK = (384, 1248)
BOXES = 8
WARM_UP = 4
TRAIN_STEPS = 5
# Target speed relative to the train step.
MIN_SPEED_RATIO = 3

FLIPS = SpatialAugmentation(hflip_probability=0.5)
WARP = SpatialAugmentation(
    hflip_probability=0.5, zoom_min=0.8, zoom_max=1.25, translate_max_x=40, rotate_rad_max=6.0
)
COLOR = ColorAugmentation(
    color_shift_stddev=0.05, hue_rotation_max=20, saturation_shift_max=0.2, contrast_scale_max=0.2
)
ROWS = {
    "decode and resize": None,
    "and flip": AugmentationConfig(spatial_augmentation=FLIPS),
    "and warp": AugmentationConfig(spatial_augmentation=WARP),
    "and warp and color": AugmentationConfig(spatial_augmentation=WARP, color_augmentation=COLOR),
}


def main() -> None:
    """Runs the benchmark and prints the table."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--images", type=int, default=120, help="images measured per row (default: 120)")
    flags.add_argument("--batch_size", type=int, default=2, help="images per batch (default: 2)")
    args = flags.parse_args()
    conditions = Conditions(threads=worker_threads())
    title = f"input pipeline, {NETWORK[0]}x{NETWORK[1]}"
    table = Table("", "images/s", "CPU ms/image", "x train step", title=title)
    train_rates = {precision: _train_rate(precision) for precision in ("float32", "bfloat16")}
    fastest = max(train_rates.values())
    with tempfile.TemporaryDirectory() as folder:
        write_records(Path(folder) / "records", count=40)
        for name, augmentation in ROWS.items():
            spec = make_spec(Path(folder) / "records", augmentation, args.batch_size)
            rate, cost = _measure(spec, args.images, args.batch_size)
            table.add_row(name, f"{rate:.0f}", f"{cost * 1000:.1f}", f"{rate / fastest:.1f}")
    console = Console()
    console.print(table)
    for precision, rate in train_rates.items():
        console.print(f"train step, {precision}: {rate:.2f} images/s", highlight=False)
    console.print(
        f"x train step: relative to the faster of these; target: at least {MIN_SPEED_RATIO}", highlight=False
    )
    console.print("\n".join(conditions.lines()))


def _train_rate(precision: str) -> float:
    """Measures the train step in a separate process, in images per second."""
    options = ["--precision", precision, "--batch", "1", "--threads", str(len(os.sched_getaffinity(0)))]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "train.log"
        command = [sys.executable, "-m", "benchmarks.ours", *options]
        worker = Worker.start(precision, command, log, worker_environment())
        try:
            worker.ask("prepare train")
            return 1 / statistics.median(worker.ask(f"train {TRAIN_STEPS}")["wall"])
        finally:
            worker.stop()


def write_records(path: Path, count: int) -> None:
    """Writes a record file of JPEG images that resemble photographs: smooth noise, about 100 kB each.

    Args:
        path: Record file.
        count: Number of images. Each has `BOXES` labels and is embedded in its record.
    """
    random = np.random.default_rng(0)
    frames = []
    for number in range(count):
        coarse = random.integers(0, 255, (47, 156, 3), np.uint8)
        picture = Image.fromarray(coarse).resize(STORED[::-1], Image.Resampling.BICUBIC)
        jpeg = Path(f"{path}.jpg")
        picture.save(jpeg, quality=90)
        corners = random.uniform((0, 0), (STORED[1] - 100, STORED[0] - 60), (BOXES, 2))
        labels = tuple(Label("car", x, y, x + 90.0, y + 50.0) for x, y in corners.tolist())
        record = ImageRecord(f"{number:06d}", *STORED, labels, encoded=jpeg.read_bytes(), image_format="jpeg")
        frames.append(frame(encode(record)))
    path.write_bytes(b"".join(frames))


def make_spec(records: Path, augmentation: AugmentationConfig | None, batch_size: int) -> Experiment:
    """Changes the KITTI example spec to use the given records and augmentation.

    Args:
        records: Record file for training.
        augmentation: Augmentation settings; `None` turns augmentation off.
        batch_size: Images per batch.

    Returns:
        The spec, without validation data.
    """
    spec = load_experiment(SPEC)
    replace = dataclasses.replace
    image = replace(
        spec.model_config.input_image_config,
        size_height_width=SizeHeightWidth(height=NETWORK[0], width=NETWORK[1]),
    )
    return replace(
        spec,
        model_config=replace(spec.model_config, input_image_config=image),
        dataset_config=replace(
            spec.dataset_config, data_sources=(DataSource(tfrecords_path=str(records)),), validation_fold=None
        ),
        augmentation_config=replace(
            augmentation or AugmentationConfig(), preprocessing=Preprocessing(enable_auto_resize=True)
        ),
        training_config=replace(
            spec.training_config, batch_size_per_gpu=batch_size, enable_augmentation=augmentation is not None
        ),
    )


def _measure(spec: Experiment, images: int, batch_size: int) -> tuple[float, float]:
    """Measures the input pipeline after a warm-up: images per second, and CPU seconds per image."""
    batches = iter(training_dataset(data_settings(spec)).batches)
    for _ in range(WARM_UP):
        next(batches)
    steps = max(1, images // batch_size)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        next(batches)
    done = steps * batch_size
    return done / (time.perf_counter() - wall), (time.process_time() - cpu) / done


if __name__ == "__main__":
    main()
