"""Reads HDF5 files in a separate process, because the library crashes on some damaged files.

    python -m frcnn.model.files.hdf5_process FILE TREE ARRAYS

writes JSON to TREE (the content, or the reason why it is unreadable) and the bytes of all arrays to ARRAYS.
The two processes share these as unnamed files, because they may contain content of a sealed file.
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
from frcnn.files import disk_full_while_reading, is_disk_full, unlinked_file
from frcnn.limits import MIB
from frcnn.model.files.hdf5_tree import Tree, read_tree

# Allowance in addition to the limits by file size: broken files make the library allocate more, or loop.
# Time is CPU time, because a valid file takes longer by the clock on a busy machine.
_SPARE_BYTES, _COPIES = 2 << 30, 6
_SPARE_SECONDS, _BYTES_PER_SECOND = 60, 10_000_000


def read_tree_in_subprocess(path: Path, shown: Path | None = None) -> Tree:
    """Reads an HDF5 weight file in a separate process.

    Args:
        path: HDF5 file.
        shown: Path of the file in messages; None for `path`.

    Returns:
        Arrays and texts of the file.

    Raises:
        ModelError: The file is broken.
        RunError: There is no disk space, or the memory limit of this process is too low.
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
    """Returns the CPU time limit for reading a file of `size` bytes, s."""
    return _SPARE_SECONDS + size // _BYTES_PER_SECOND


def limit_time(size: int) -> None:
    """Limits the CPU time of this process to that for a file of `size` bytes, by SIGXCPU."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds_for(size), resource.getrlimit(resource.RLIMIT_CPU)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_memory(size: int) -> None:
    """Limits the memory of this process to that for `size` bytes, or to the user's lower limit."""
    limit = min(_wanted(size), _user_limit())
    resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))


def _wanted(size: int) -> int:
    return _SPARE_BYTES + _COPIES * size


def _user_limit() -> float:
    """Returns the user's memory limit (`ulimit -v`), bytes."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    return min((each for each in limits if each != resource.RLIM_INFINITY), default=math.inf)


def _too_little(shown: Path) -> RunError:
    return RunError(
        f"{shown}: not enough memory to read it; this process is limited to "
        f"{_user_limit() / MIB:.0f} MiB (ulimit -v). Raise the limit."
    )


def _run(files: tuple[Path, ...], size: int, shown: Path) -> None:
    command = [sys.executable, "-m", __name__, *map(str, files)]
    # Find this package even if it is not installed. One thread is enough.
    root = str(Path(frcnn.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "OPENBLAS_NUM_THREADS": "1"}
    handles = [int(file.name) for file in files]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, check=False, pass_fds=handles)
    except MemoryError as error:  # of this process, which has the user's limit too
        raise _too_little(shown) from error
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
            raise disk_full_while_reading(shown)
        if _user_limit() < _wanted(size):
            # Python itself may fail to start, or a library may crash without a message.
            raise _too_little(shown)
        raise ModelError(f"{shown}: damaged: the HDF5 library failed to read it ({last or end})")


def _result(result: dict[str, Any], file: Path) -> Tree:
    """Maps the arrays into memory; they stay valid after the file is deleted."""
    # Mapping an empty file raises an error.
    size = file.stat().st_size
    content = np.memmap(file, np.uint8, "r") if size else np.zeros(0, np.uint8)
    arrays = {}
    for path, (kind, shape, start) in result["arrays"].items():
        dtype = np.dtype(kind)
        end = start + math.prod(shape) * dtype.itemsize
        arrays[path] = content[start:end].view(dtype).reshape(shape)
    return Tree(arrays, result["texts"])


def main(path: Path, tree_file: Path, arrays_file: Path) -> None:
    """Reads a file in the child process.

    Args:
        path: HDF5 file.
        tree_file: File to write the JSON to.
        arrays_file: File to write the arrays to.
    """
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
