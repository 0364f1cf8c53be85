"""A drawn data set in two folders, and faults that can be planted in it one by one."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from frcnn.demo.dataset import write_demo_data

TRAIN, VAL = 40, 16
HEIGHT, WIDTH = 240, 320


def clean_set(root: Path) -> Path:
    """`root/train` and `root/val` in KITTI layout: circles, squares and triangles, nothing wrong."""
    write_demo_data(root / "train", images=TRAIN, seed=1, height=HEIGHT, width=WIDTH)
    write_demo_data(root / "val", images=VAL, seed=2, height=HEIGHT, width=WIDTH)
    return root


def labels_of(folder: Path) -> list[Path]:
    return sorted((folder / "labels").glob("*.txt"))


def plant_leak(root: Path) -> None:
    """An image of train, with its labels, is in val too, under another name."""
    shutil.copyfile(root / "train/images/000003.jpg", root / "val/images/copied.jpg")
    shutil.copyfile(root / "train/labels/000003.txt", root / "val/labels/copied.txt")


def plant_similar(root: Path) -> None:
    """A brighter, recompressed copy of an image of train is in val."""
    with Image.open(root / "train/images/000005.jpg") as image:
        image.point(lambda value: min(255, int(value * 1.1))).save(root / "val/images/again.jpg", quality=60)
    shutil.copyfile(root / "train/labels/000005.txt", root / "val/labels/again.txt")


def plant_missing_class(root: Path) -> None:
    """No triangle of val is labeled."""
    for path in labels_of(root / "val"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("triangle")]
        path.write_text("".join(f"{line}\n" for line in lines) or "circle 0 0 0 40 40 90 90 0 0 0 0 0 0 0\n")


def plant_tiny_objects(root: Path) -> None:
    """Every image of train has two objects of 6 px."""
    for path in labels_of(root / "train"):
        with path.open("a") as stream:
            for left in (10, 30):
                stream.write(f"circle 0 0 0 {left} 10 {left + 6} 16 0 0 0 0 0 0 0\n")


def plant_broken_image(root: Path) -> None:
    path = root / "train/images/000001.jpg"
    path.write_bytes(path.read_bytes()[:1000])


def plant_bad_labels(root: Path) -> None:
    """A box without area, and one beside the image."""
    with (root / "train/labels/000002.txt").open("a") as stream:
        stream.write("circle 0 0 0 50 50 50 90 0 0 0 0 0 0 0\n")
        stream.write("circle 0 0 0 900 900 950 950 0 0 0 0 0 0 0\n")


def plant_exif(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = root / "train/images/000007.jpg"
    with Image.open(path) as image:
        image.load()
        image.save(path, exif=exif, quality=92)


def plant_gray_image(root: Path) -> None:
    path = root / "train/images/000008.jpg"
    with Image.open(path) as image:
        image.convert("L").save(path)


def plant_crowd(root: Path) -> None:
    """An image with 130 objects."""
    random = np.random.default_rng(0)
    corners = random.integers(0, 180, (130, 2))
    lines = [f"circle 0 0 0 {x} {y} {x + 40} {y + 40} 0 0 0 0 0 0 0\n" for x, y in corners.tolist()]
    (root / "train/labels/000009.txt").write_text("".join(lines))


# What is found, by what was planted.
FAULTS = {
    plant_leak: {"leak"},
    plant_similar: {"similar_across_folds"},
    plant_missing_class: {"class_missing_in_fold"},
    plant_tiny_objects: {"tiny_objects"},
    plant_broken_image: {"faulty_data"},
    plant_bad_labels: {"faulty_data"},
    plant_exif: {"exif_turned"},
    plant_gray_image: {"mixed_channels"},
    plant_crowd: {"crowded"},
}
