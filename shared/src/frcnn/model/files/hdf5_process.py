"""HDF5 in a process of its own: the library crashes on some damaged files, and must not take a run along.

    python -m frcnn.model.files.hdf5_process FILE FOLDER

leaves `tree.json` and `arrays.bin` in FOLDER, or `error.txt`.
"""

import json
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import frcnn
from frcnn.errors import ModelError
from frcnn.files import is_disk_full, no_room_to_read
from frcnn.model.files.hdf5_tree import Tree, read_tree

_TREE, _ARRAYS, _ERROR = "tree.json", "arrays.bin", "error.txt"
# Beyond what the file's size explains; broken files make the library ask for more and loop.
_SPARE_BYTES, _COPIES = 2 << 30, 6
_SPARE_SECONDS, _BYTES_PER_SECOND = 60, 10_000_000


def read_tree_apart(path: Path, shown: Path | None = None) -> Tree:
    """What `frcnn.model.files.hdf5_tree.read_tree` reads, and raises; messages call the file `shown`."""
    shown = shown or path
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _run(path, folder, shown)
        if (folder / _ERROR).exists():
            raise ModelError(f"{shown}: {(folder / _ERROR).read_text(encoding='utf-8')}")
        return _read_result(folder)


def limit_memory(path: Path) -> None:
    """Bounds this process's memory by what reading `path` may take."""
    limit = _SPARE_BYTES + _COPIES * path.stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _run(path: Path, folder: Path, shown: Path) -> None:
    command = [sys.executable, "-m", __name__, str(path.resolve()), str(folder)]
    # Where this package is, also when it is not installed; one thread is enough.
    root = str(Path(frcnn.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "OPENBLAS_NUM_THREADS": "1"}
    seconds = _SPARE_SECONDS + path.stat().st_size // _BYTES_PER_SECOND
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{shown}: not readable in {seconds} s; the file is damaged") from error
    if done.returncode:
        code = -done.returncode
        end = (
            signal.Signals(code).name
            if code in {each.value for each in signal.Signals}
            else f"exit code {done.returncode}"
        )
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        if is_disk_full(OSError(last)):
            raise no_room_to_read(shown)
        raise ModelError(f"{shown}: damaged: the HDF5 library failed on it ({last or end})")


def _read_result(folder: Path) -> Tree:
    """The arrays are mapped, not read: they live as long as they are used, though the file is removed."""
    result = json.loads((folder / _TREE).read_text(encoding="utf-8"))
    # Mapping nothing is an error.
    size = (folder / _ARRAYS).stat().st_size
    content = np.memmap(folder / _ARRAYS, np.uint8, "r") if size else np.zeros(0, np.uint8)
    arrays = {}
    for path, (kind, shape, start) in result["arrays"].items():
        dtype = np.dtype(kind)
        end = start + math.prod(shape) * dtype.itemsize
        arrays[path] = content[start:end].view(dtype).reshape(shape)
    return Tree(arrays, result["texts"])


def main(path: Path, folder: Path) -> None:
    """What the other process does."""
    limit_memory(path)
    try:
        tree = read_tree(path)
    except ModelError as error:
        (folder / _ERROR).write_text(str(error), encoding="utf-8", errors="replace")
        return
    starts: dict[int, int] = {}
    arrays: dict[str, Any] = {}
    with (folder / _ARRAYS).open("wb") as stream:
        for name, array in tree.arrays.items():
            if id(array) not in starts:
                stream.write(bytes(-stream.tell() % 16))
                starts[id(array)] = stream.tell()
                array.tofile(stream)
            arrays[name] = array.dtype.str, array.shape, starts[id(array)]
    result = {"arrays": arrays, "texts": tree.texts}
    (folder / _TREE).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
