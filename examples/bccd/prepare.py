"""Lays a BCCD folder out as three KITTI data sets: OUT_DIR/{train,val,test}/{images,labels}.

    python examples/bccd/prepare.py BCCD_DIR OUT_DIR

BCCD_DIR holds `images/ID.jpg`, `labels/ID.txt` and the official split, one ID a line, in `train.txt`,
`val.txt` and `test.txt`. The files are linked, not copied; with --copy they are copied. Running it again
brings OUT_DIR up to date. Exit code 1, and nothing made, if a file is missing.
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
    """Runs the command; returns the exit code."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("bccd_dir", type=Path)
    flags.add_argument("out_dir", type=Path)
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
    """Each file of a split, and where it goes."""
    for stem in (bccd_dir / f"{split}.txt").read_text(encoding="utf-8").split():
        for folder, ending in LAYOUT.items():
            name = f"{stem}{ending}"
            yield bccd_dir / folder / name, out_dir / split / folder / name


def place(source: Path, target: Path, *, copy: bool) -> None:
    """Puts `source` at `target`, in place of what an earlier run has put there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if copy:
        shutil.copyfile(source, target)
    else:
        target.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))


if __name__ == "__main__":
    sys.exit(main())
