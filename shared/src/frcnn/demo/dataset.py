"""Draws a synthetic dataset in KITTI layout, for a first run without data of your own."""

from pathlib import Path

import numpy as np

from frcnn.console.progress import track
from frcnn.demo.shapes import CLASSES, MAX_OBJECTS, draw_scene
from frcnn.drawing.image_output import save_image
from frcnn.errors import UsageError
from frcnn.files import atomic_path

README = "README.txt"
CONTENTS = {"images", "labels", README}
MARK = "Synthetic data set drawn by `frcnn demo-data`"
MIN_SIDE = 64
MAX_PIXELS = 64_000_000
JPEG_QUALITY = 92

ABOUT = """\
{mark}: {images} images of {height} x {width} pixels, seed {seed}.

The images show drawn shapes, so results say nothing about a real task. They serve to check that
training and evaluation work. The same seed gives identical files with the same versions of
NumPy and Pillow.

images/NNNNNN.jpg   noisy backgrounds with 1 to {most} objects: {classes}
labels/NNNNNN.txt   KITTI labels: class, truncated, occluded, alpha, x1 y1 x2 y2, seven zeros
"""


def write_demo_data(output: Path, *, images: int, seed: int, height: int, width: int) -> None:
    """Draws a dataset into a folder, atomically.

    Replaces a dataset that this function wrote earlier, but nothing else.

    Args:
        output: Folder to create.
        images: Number of images.
        seed: Random seed.
        height: Height of the images, px.
        width: Width of the images, px.

    Raises:
        UsageError: A number is out of range, or `output` contains something else.
    """
    if images < 1:
        raise UsageError(f"{images} images: expected 1 or more")
    if min(height, width) < MIN_SIDE:
        raise UsageError(f"size {height} x {width}: expected at least {MIN_SIDE} pixels per side")
    if height * width > MAX_PIXELS:
        raise UsageError(f"size {height} x {width}: expected at most {MAX_PIXELS // 10**6} million pixels")
    if seed < 0:
        raise UsageError(f"seed {seed}: expected 0 or more")
    if output.exists() and not _may_replace(output):
        raise UsageError(f"{output} exists and was not created by demo-data. Choose another folder.")
    with atomic_path(output) as temporary:
        for folder in ("images", "labels"):
            (temporary / folder).mkdir(parents=True)
        about = ABOUT.format(
            mark=MARK,
            images=images,
            height=height,
            width=width,
            seed=seed,
            most=MAX_OBJECTS,
            classes=", ".join(CLASSES),
        )
        (temporary / README).write_text(about, encoding="utf-8")
        for number in track(range(images), "drawing"):
            # One generator per image, so that an image does not depend on the number of images.
            scene, shapes = draw_scene(np.random.default_rng([seed, number]), height, width)
            save_image(scene, temporary / "images" / f"{number:06d}.jpg", quality=JPEG_QUALITY)
            lines = "".join(f"{shape.kitti_line()}\n" for shape in shapes)
            (temporary / "labels" / f"{number:06d}.txt").write_text(lines, encoding="utf-8")
        if output.exists():
            # Removed with the temporary folder.
            output.rename(temporary.parent / "former")


def _may_replace(output: Path) -> bool:
    """Checks whether `output` is an empty folder or contains only what this module wrote."""
    if not output.is_dir():
        return False
    contents = {path.name for path in output.iterdir()}
    if not contents:
        return True
    readme = output / README
    return contents == CONTENTS and readme.is_file() and readme.read_text("utf-8", "replace").startswith(MARK)
