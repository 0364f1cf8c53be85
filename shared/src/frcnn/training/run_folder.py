"""The results folder of a training: which checkpoint in it is the latest, and which the best.

The latest is that of the highest epoch. Files that an earlier run left in the same folder count for nothing:
`checkpoints.json` lists them, beside the names of the latest and the best for whoever looks into it. It names
files, not links: a folder that was copied or kept in S3 is as good as the original. It may name the
checkpoint of an epoch as the best one; that holds from the moment the file is there until it is copied.
"""

import contextlib
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

from frcnn.distributed.world import Place
from frcnn.errors import ModelError
from frcnn.files import write_text
from frcnn.limits import read_json
from frcnn.single_writer import only_writer_in

INDEX = "checkpoints.json"
EPOCH = re.compile(r"\.epoch_(\d+)\.(?:tlt|keras)$")
_BEST = re.compile(r"\.best\.(?:tlt|keras)$")

Wanted = Literal["latest", "best"]


@contextlib.contextmanager
def only_training_in(folder: Path, here: Place) -> Iterator[None]:
    """Keeps other trainings out of a results folder while the block runs.

    Args:
        folder: Created if missing.
        here: Rank of this process; rank 0 holds the folder for all.

    Raises:
        PlaceBusyError: Another training writes there.
    """
    if here.rank:
        yield
        return
    with only_writer_in(folder, "train"):
        yield


def write_index(folder: Path, latest: Path | None, best: Path | None, earlier: Collection[str] = ()) -> None:
    """Says what the checkpoints of `folder` are.

    Args:
        folder: Made if missing.
        latest: None if there is none yet.
        best: The same. The checkpoint of an epoch may be named before it is written.
        earlier: Names of files that an earlier run left: they count for nothing from now on.
    """
    names = {
        "latest": latest and latest.name,
        "best": best and best.name,
        "of_an_earlier_run": sorted(earlier),
    }
    write_text(folder / INDEX, json.dumps(names, indent=1) + "\n")


def checkpoints_of(folder: Path) -> set[str]:
    """Names of all checkpoints in a folder, of whatever run; none if it is missing."""
    paths = (path for path in folder.glob("*") if EPOCH.search(path.name) or _BEST.search(path.name))
    return {path.name for path in paths if path.is_file()}


def of_an_earlier_run(folder: Path) -> set[str]:
    """Names of the files in a folder that its index says are an earlier run's."""
    names = _read_index(folder).get("of_an_earlier_run")
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def checkpoint_in(folder: Path, wanted: Wanted) -> Path | None:
    """The checkpoint of a results folder; None if it has none. Without a best one the latest is the best.

    Raises:
        ModelError: There are several, of different models.
    """
    names = checkpoints_of(folder) - of_an_earlier_run(folder)
    if wanted == "best":
        announced = _read_index(folder).get("best")
        if isinstance(announced, str) and EPOCH.search(announced) and announced in names:
            return folder / announced
        if best := _of_one_model(folder, names, _BEST):
            return folder / best[0]
    epochs = _of_one_model(folder, names, EPOCH)
    return folder / max(epochs, key=epoch_of) if epochs else None


def epochs_of_this_run(folder: Path) -> list[Path]:
    """The checkpoints of a results folder's last run, the newest first."""
    names = checkpoints_of(folder) - of_an_earlier_run(folder)
    return [folder / name for name in sorted(filter(epoch_of, names), key=epoch_of, reverse=True)]


def find_checkpoint(path: Path, wanted: Wanted) -> Path:
    """What a path given for a model means: a file itself, or a checkpoint of a results folder.

    `RESULTS/latest` and `RESULTS/best` name that checkpoint of the folder RESULTS; the folder alone means
    the one that is wanted. Anything else is returned as it is.

    Raises:
        ModelError: The folder has no checkpoint.
    """
    folder = path
    if path.name in ("latest", "best") and not path.exists():
        folder, wanted = path.parent, "latest" if path.name == "latest" else "best"
    if not folder.is_dir():
        return path
    found = checkpoint_in(folder, wanted)
    if found is None:
        raise ModelError(
            f"{folder}: no checkpoint in this folder; expected frcnn_<arch>.epoch_<N>.keras or .tlt"
        )
    return found


def epoch_of(name: str) -> int:
    """The epoch after which a checkpoint was written, by its name; 0 if it is no checkpoint of an epoch."""
    match = EPOCH.search(name)
    return int(match[1]) if match else 0


def _of_one_model(folder: Path, names: Collection[str], pattern: re.Pattern[str]) -> list[str]:
    """The names that end so."""
    found = sorted(name for name in names if pattern.search(name))
    if len({pattern.sub("", name) + Path(name).suffix for name in found}) > 1:
        raise ModelError(
            f"{folder}: checkpoints of several models ({', '.join(found[:4])}, ...); name the file"
        )
    return found


def _read_index(folder: Path) -> dict[str, object]:
    """Reads the index; empty if there is none, or one of no use."""
    try:
        found = read_json(folder / INDEX)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
