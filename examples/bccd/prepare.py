"""Arranges BCCD as three KITTI data sets: OUT_DIR/{train,val,test}/{images,labels}.

    git clone https://github.com/Shenggan/BCCD_Dataset runs/bccd/source
    python examples/bccd/prepare.py runs/bccd/source/BCCD OUT_DIR

BCCD_DIR is either the public folder, with JPEGImages, Annotations (Pascal VOC) and ImageSets/Main, or a
folder in KITTI format with `images/ID.jpg`, `labels/ID.txt`, and the official split in `train.txt`, `val.txt`
and `test.txt` with one ID per line. Images are linked, or copied with --copy. A second run updates OUT_DIR.
If a file is missing, the exit code is 1 and nothing is written.
"""

import argparse
import os
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

SPLITS = ("train", "val", "test")
# Source and target folder, ending of the source, ending of the target.
KITTI_LAYOUT = (("images", "images", ".jpg", ".jpg"), ("labels", "labels", ".txt", ".txt"))
VOC_LAYOUT = (("JPEGImages", "images", ".jpg", ".jpg"), ("Annotations", "labels", ".xml", ".txt"))


def main() -> int:
    """Runs the command.

    Returns:
        Exit code.
    """
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("bccd_dir", type=Path, help="the public folder BCCD, or its KITTI form with the split")
    flags.add_argument("out_dir", type=Path, help="output folder for the three data sets")
    flags.add_argument("--copy", action="store_true", help="copy the files instead of linking them")
    args = flags.parse_args()
    try:
        pairs = [pair for split in SPLITS for pair in files_of(args.bccd_dir, args.out_dir, split)]
        missing = [source for source, _ in pairs if not source.is_file()]
        if missing:
            raise FileNotFoundError(f"{missing[0]}: no such file ({len(missing)} missing in all)")
        for source, target in pairs:
            place(source, target, copy=args.copy)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    for split in SPLITS:
        count = sum(target.parts[-3:-1] == (split, "images") for _, target in pairs)
        sys.stdout.write(f"{args.out_dir / split}: {count} images\n")
    return 0


def files_of(bccd_dir: Path, out_dir: Path, split: str) -> Iterator[tuple[Path, Path]]:
    """Lists the files of a split.

    Args:
        bccd_dir: BCCD folder.
        out_dir: Output folder.
        split: `train`, `val` or `test`.

    Yields:
        Tuples of source and target.
    """
    voc = (bccd_dir / "Annotations").is_dir()
    splits = bccd_dir / "ImageSets/Main" if voc else bccd_dir
    for stem in (splits / f"{split}.txt").read_text(encoding="utf-8").split():
        for source, target, ending, new_ending in VOC_LAYOUT if voc else KITTI_LAYOUT:
            yield bccd_dir / source / f"{stem}{ending}", out_dir / split / target / f"{stem}{new_ending}"


def kitti_lines(annotation: Path) -> str:
    """Converts the objects of a Pascal VOC file to KITTI label lines.

    VOC counts pixels from 1, KITTI from 0.

    Args:
        annotation: XML file.

    Returns:
        Lines; boxes are `xyxy` in pixels.
    """
    lines = []
    for item in ElementTree.parse(annotation).iter("object"):
        sides = (
            float(item.findtext(f"bndbox/{side}", "nan")) - 1 for side in ("xmin", "ymin", "xmax", "ymax")
        )
        box = " ".join(f"{side:.2f}" for side in sides)
        truncated = float(item.findtext("truncated") or 0)
        difficult = int(item.findtext("difficult") or 0)
        name = item.findtext("name", "").strip().replace(" ", "_")
        lines.append(f"{name} {truncated:.2f} {difficult} 0.00 {box}{' 0.00' * 7}\n")
    return "".join(lines)


def place(source: Path, target: Path, *, copy: bool) -> None:
    """Links, copies or converts a file, replacing the result of an earlier run.

    Args:
        source: Existing file.
        target: File or link to create.
        copy: Whether to copy instead of linking.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if source.suffix == ".xml":
        target.write_text(kitti_lines(source), encoding="utf-8")
    elif copy:
        shutil.copyfile(source, target)
    else:
        target.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))


if __name__ == "__main__":
    sys.exit(main())
