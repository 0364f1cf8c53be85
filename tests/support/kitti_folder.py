"""Writes small data sets in KITTI and COCO layout for tests of the converter."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

CAR = "Car 0.50 1 -1.57 10.25 20 40 60.5 1.5 1.6 3.9 -2 1.5 12 0.25"
PEDESTRIAN = "Pedestrian 0 0 0 5 5 25 45 0 0 0 0 0 0 0"
DONT_CARE = "DontCare -1 -1 -10 1 1 9 9 -1 -1 -1 -1000 -1000 -1000 -10"
HEIGHT, WIDTH = 80, 100


def write_image(path: Path, height: int = HEIGHT, width: int = WIDTH, *, orientation: int = 1) -> None:
    """A gray picture with this EXIF orientation; the format follows the name, in any case."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "PNG" if path.suffix.lower() == ".png" else "JPEG"
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif} if orientation != 1 else {}
    Image.new("RGB", (width, height), (90, 90, 90)).save(path, kind, **options)


def write_kitti(root: Path, labels: Mapping[str, Sequence[str]], extension: str = ".png") -> Path:
    """`root`, with an image and a label file of these lines for each stem."""
    (root / "label_2").mkdir(parents=True, exist_ok=True)
    for stem, lines in labels.items():
        write_image(root / "image_2" / f"{stem}{extension}")
        (root / "label_2" / f"{stem}.txt").write_text("".join(f"{line}\n" for line in lines))
    return root


def write_coco(root: Path, name: str, content: object) -> Path:
    """The annotation file `name` below `root`."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
