"""HDF5 in a process of its own: the library crashes on some damaged files, and must not take a run along.

    python -m frcnn.model.files.hdf5_process FILE TREE ARRAYS

leaves JSON in TREE (what there is, or why nothing could be read) and the bytes of all arrays in ARRAYS. All
three are files that the two processes share, without a name: they may hold what comes out of a sealed file.
"""

import json
import math
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import frcnn
from frcnn.errors import ModelError, RunError
from frcnn.files import is_disk_full, no_room_to_read, unlinked_file
from frcnn.limits import MIB
from frcnn.model.files.hdf5_tree import Tree, read_tree

# Beyond what the file's size explains; broken files make the library ask for more and loop. Seconds of CPU
# time: a good file on a busy machine takes longer by the clock.
_SPARE_BYTES, _COPIES = 2 << 30, 6
_SPARE_SECONDS, _BYTES_PER_SECOND = 60, 10_000_000


def read_tree_apart(path: Path, shown: Path | None = None) -> Tree:
    """What `frcnn.model.files.hdf5_tree.read_tree` reads, and raises; messages call the file `shown`.

    Raises:
        RunError: There is no room, or this process may not have the memory.
    """
    shown = shown or path
    with path.open("rb") as source, unlinked_file() as tree, unlinked_file() as arrays:
        _run((Path(f"/proc/self/fd/{source.fileno()}"), tree, arrays), path.stat().st_size, shown)
        result = json.loads(tree.read_bytes())
        if result.get("out_of_memory") and _user_limit() < _wanted(path.stat().st_size):
            raise _too_little(shown)
        if "error" in result:
            raise ModelError(f"{shown}: {result['error']}")
        return _result(result, arrays)


def seconds_for(size: int) -> int:
    """Returns the CPU time in seconds that reading a file of `size` bytes may take."""
    return _SPARE_SECONDS + size // _BYTES_PER_SECOND


def limit_time(size: int) -> None:
    """Ends this process by SIGXCPU once it has used the CPU time for a file of `size` bytes."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds_for(size), resource.getrlimit(resource.RLIMIT_CPU)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_memory(size: int) -> None:
    """Bounds this process's memory by what a file of that size may take, or by the user's lower limit."""
    limit = min(_wanted(size), _user_limit())
    resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))


def _wanted(size: int) -> int:
    return _SPARE_BYTES + _COPIES * size


def _user_limit() -> float:
    """What the user set (`ulimit -v`), bytes."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    return min((each for each in limits if each != resource.RLIM_INFINITY), default=math.inf)


def _too_little(shown: Path) -> RunError:
    return RunError(
        f"{shown}: cannot be read in the {_user_limit() / MIB:.0f} MiB that this process may have "
        "(ulimit -v); raise the limit"
    )


def _run(files: tuple[Path, ...], size: int, shown: Path) -> None:
    command = [sys.executable, "-m", __name__, *map(str, files)]
    # Where this package is, also when it is not installed; one thread is enough.
    root = str(Path(frcnn.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "OPENBLAS_NUM_THREADS": "1"}
    handles = [int(file.name) for file in files]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, pass_fds=handles)
    if done.returncode == -signal.SIGXCPU:
        raise ModelError(f"{shown}: not readable in {seconds_for(size)} s of CPU time; the file is damaged")
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
        if _user_limit() < _wanted(size):
            # Python itself may not start, or a library die without a word.
            raise _too_little(shown)
        raise ModelError(f"{shown}: damaged: the HDF5 library failed on it ({last or end})")


def _result(result: dict[str, Any], file: Path) -> Tree:
    """The arrays are mapped, not read: they live as long as they are used, though the file is gone."""
    # Mapping nothing is an error.
    size = file.stat().st_size
    content = np.memmap(file, np.uint8, "r") if size else np.zeros(0, np.uint8)
    arrays = {}
    for path, (kind, shape, start) in result["arrays"].items():
        dtype = np.dtype(kind)
        end = start + math.prod(shape) * dtype.itemsize
        arrays[path] = content[start:end].view(dtype).reshape(shape)
    return Tree(arrays, result["texts"])


def main(path: Path, tree_file: Path, arrays_file: Path) -> None:
    """What the other process does."""
    size = path.stat().st_size
    limit_time(size)
    limit_memory(size)
    try:
        tree = read_tree(path)
    except ModelError as error:
        facts = {"error": str(error), "out_of_memory": isinstance(error.__cause__, MemoryError)}
        tree_file.write_text(json.dumps(facts), encoding="utf-8")
        return
    starts: dict[int, int] = {}
    arrays: dict[str, Any] = {}
    with arrays_file.open("wb") as stream:
        for name, array in tree.arrays.items():
            if id(array) not in starts:
                stream.write(bytes(-stream.tell() % 16))
                starts[id(array)] = stream.tell()
                array.tofile(stream)
            arrays[name] = array.dtype.str, array.shape, starts[id(array)]
    tree_file.write_text(json.dumps({"arrays": arrays, "texts": tree.texts}), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
