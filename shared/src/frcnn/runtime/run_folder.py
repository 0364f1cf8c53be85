"""The results folder of a training: which checkpoint in it is the latest, and which the best.

`checkpoints.json` in it names both, so that files of an earlier run in the same folder mislead nobody. It
names files, not links: a folder that was copied or kept in S3 is as good as the original.
"""

import json
import re
from pathlib import Path
from typing import Literal

from frcnn.errors import ModelError
from frcnn.runtime.files import write_text

INDEX = "checkpoints.json"
EPOCH = re.compile(r"\.epoch_(\d+)\.(?:tlt|keras)$")
_BEST = re.compile(r"\.best\.(?:tlt|keras)$")

Wanted = Literal["latest", "best"]


def write_index(folder: Path, latest: Path | None, best: Path | None) -> None:
    """Says which checkpoints of `folder` count from now on; None where there is none yet."""
    names = {"latest": latest and latest.name, "best": best and best.name}
    write_text(folder / INDEX, json.dumps(names, indent=1) + "\n")


def checkpoint_in(folder: Path, wanted: Wanted) -> Path | None:
    """The checkpoint of a results folder; None if it has none. Without a best one the latest is the best.

    A folder without an index, or of an index whose files are gone, is searched by name: the highest epoch.

    Raises:
        ModelError: There are several without an index, of different models.
    """
    names = _index(folder)
    if names is not None:
        order = ("latest",) if wanted == "latest" else ("best", "latest")
        listed = [folder / Path(name).name for each in order if (name := names.get(each))]
        if not listed:
            return None
        if found := [path for path in listed if path.is_file()]:
            return found[0]
    return _by_name(folder, wanted)


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


def _index(folder: Path) -> dict[str, str | None] | None:
    try:
        names = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return names if isinstance(names, dict) else None


def _by_name(folder: Path, wanted: Wanted) -> Path | None:
    if wanted == "best" and (best := _only(folder, _BEST)):
        return best[0]
    epochs = _only(folder, EPOCH)
    return max(epochs, key=lambda path: epoch_of(path.name), default=None)


def epoch_of(name: str) -> int:
    """The epoch after which a checkpoint was written, by its name; 0 if it is no checkpoint of an epoch."""
    match = EPOCH.search(name)
    return int(match[1]) if match else 0


def _only(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    """Files whose names end so; all of one model."""
    found = [path for path in sorted(folder.glob("*")) if pattern.search(path.name) and path.is_file()]
    if len({pattern.sub("", path.name) + path.suffix for path in found}) > 1:
        names = ", ".join(path.name for path in found[:4])
        raise ModelError(f"{folder}: checkpoints of several models ({names}, ...); name the file")
    return found
