"""Arranges a BCCD folder as three KITTI data sets: OUT_DIR/{train,val,test}/{images,labels}.

    python examples/bccd/prepare.py BCCD_DIR OUT_DIR

BCCD_DIR contains `images/ID.jpg`, `labels/ID.txt`, and the official split in `train.txt`, `val.txt` and
`test.txt` with one ID per line. Files are linked, or copied with --copy. A second run updates OUT_DIR. If a
file is missing, the exit code is 1 and nothing is written.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

SPLITS = ("train", "val", "test")
LAYOUT = {"images": ".jpg", "labels": ".txt"}


def main() -> int:
    """Runs the command.

    Returns:
        Exit code.
    """
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("bccd_dir", type=Path, help="folder with images, labels and the official split")
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
    except OSError as error:
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
    for stem in (bccd_dir / f"{split}.txt").read_text(encoding="utf-8").split():
        for folder, ending in LAYOUT.items():
            name = f"{stem}{ending}"
            yield bccd_dir / folder / name, out_dir / split / folder / name


def place(source: Path, target: Path, *, copy: bool) -> None:
    """Links or copies a file, replacing the result of an earlier run.

    Args:
        source: Existing file.
        target: File or link to create.
        copy: Whether to copy instead of linking.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if copy:
        shutil.copyfile(source, target)
    else:
        target.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))


if __name__ == "__main__":
    sys.exit(main())
