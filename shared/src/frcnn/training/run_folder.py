"""Results folder of a training: finds the latest and the best checkpoint.

The latest checkpoint is that of the highest epoch. Files that an earlier run left in the folder are
ignored: `checkpoints.json` lists them. It also names the latest and the best checkpoint, for people. It
has file names instead of links, so a copy of the folder, also on S3, is as good as the original. It may
name the checkpoint of an epoch as the best; this applies once that file exists, until it is copied.
"""

import contextlib
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

from frcnn.distributed.world import RankInfo
from frcnn.errors import ModelError
from frcnn.files import write_text
from frcnn.limits import read_json
from frcnn.single_writer import only_writer_in

INDEX = "checkpoints.json"
EPOCH = re.compile(r"\.epoch_(\d+)\.(?:tlt|keras)$")
_BEST = re.compile(r"\.best\.(?:tlt|keras)$")
# Names of a model in the folder of a pipeline step's artifact.
STEP_MODELS = ("model.keras", "model.tlt", "model.onnx", "model.etlt")

Wanted = Literal["latest", "best"]


@contextlib.contextmanager
def only_training_in(folder: Path, here: RankInfo) -> Iterator[None]:
    """Keeps other trainings out of a results folder while the block runs.

    Args:
        folder: Results folder, created if missing.
        here: Rank of this process; rank 0 locks the folder for all.

    Raises:
        PlaceBusyError: Another training writes to the folder.
    """
    if here.rank:
        yield
        return
    with only_writer_in(folder, "train"):
        yield


def write_index(folder: Path, latest: Path | None, best: Path | None, earlier: Collection[str] = ()) -> None:
    """Writes the index of a results folder.

    Args:
        folder: Results folder, created if missing.
        latest: Latest checkpoint; `None` if there is none yet.
        best: Best checkpoint; `None` if there is none yet. An epoch's checkpoint may be named before it is
            written.
        earlier: Names of files that an earlier run left; they are ignored from now on.
    """
    names = {
        "latest": latest and latest.name,
        "best": best and best.name,
        "of_an_earlier_run": sorted(earlier),
    }
    write_text(folder / INDEX, json.dumps(names, indent=1) + "\n")


def checkpoints_of(folder: Path) -> set[str]:
    """Lists the names of all checkpoints in a folder, of this run or an earlier one.

    Args:
        folder: Results folder; may be missing.

    Returns:
        File names.
    """
    paths = (path for path in folder.glob("*") if EPOCH.search(path.name) or _BEST.search(path.name))
    return {path.name for path in paths if path.is_file()}


def of_an_earlier_run(folder: Path) -> set[str]:
    """Reads from the index which files in a folder an earlier run left.

    Args:
        folder: Results folder.

    Returns:
        File names; empty without an index.
    """
    names = _read_index(folder).get("of_an_earlier_run")
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def checkpoint_in(folder: Path, wanted: Wanted) -> Path | None:
    """Finds the latest or the best checkpoint of a results folder.

    Args:
        folder: Results folder.
        wanted: `latest` or `best`. Without a best checkpoint, `best` means the latest.

    Returns:
        Path of the checkpoint; `None` if the folder has none.

    Raises:
        ModelError: The folder has checkpoints of different models.
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
    """Lists the epoch checkpoints of the last run in a results folder.

    Args:
        folder: Results folder.

    Returns:
        Paths, newest first.
    """
    names = checkpoints_of(folder) - of_an_earlier_run(folder)
    return [folder / name for name in sorted(filter(epoch_of, names), key=epoch_of, reverse=True)]


def find_checkpoint(path: Path, wanted: Wanted) -> Path:
    """Resolves a path given for a model to a file.

    `RESULTS/latest` and `RESULTS/best` mean that checkpoint of the folder RESULTS.

    Args:
        path: Model file, results folder, one of the names above, or folder of a pipeline step's model.
        wanted: Checkpoint to use if `path` is a results folder: `latest` or `best`.

    Returns:
        Path of the checkpoint, or `path` itself if it is not a folder.

    Raises:
        ModelError: The folder has no checkpoint, or has checkpoints of different models.
    """
    folder = path
    if path.name in ("latest", "best") and not path.exists():
        folder, wanted = path.parent, "latest" if path.name == "latest" else "best"
    if not folder.is_dir():
        return path
    found = checkpoint_in(folder, wanted)
    of_step = (folder / name for name in STEP_MODELS if (folder / name).is_file())
    if found is None and (found := next(of_step, None)) is None:
        raise ModelError(
            f"{folder}: no checkpoint in this folder. Expected frcnn_<arch>.epoch_<N>.keras or .tlt, or the "
            "model of a pipeline step."
        )
    return found


def epoch_of(name: str) -> int:
    """Parses the epoch from the name of a checkpoint.

    Args:
        name: File name.

    Returns:
        Number of completed epochs; 0 if the name is not that of an epoch's checkpoint.
    """
    match = EPOCH.search(name)
    return int(match[1]) if match else 0


def _of_one_model(folder: Path, names: Collection[str], pattern: re.Pattern[str]) -> list[str]:
    """Returns the names that match a pattern, sorted; fails if they are of different models."""
    found = sorted(name for name in names if pattern.search(name))
    if len({pattern.sub("", name) + Path(name).suffix for name in found}) > 1:
        raise ModelError(
            f"{folder}: checkpoints of several models ({', '.join(found[:4])}, ...). Give a file's path."
        )
    return found


def _read_index(folder: Path) -> dict[str, object]:
    """Reads the index; empty if it is missing or invalid."""
    try:
        found = read_json(folder / INDEX)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
