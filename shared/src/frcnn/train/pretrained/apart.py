"""HDF5 in a process of its own: the library crashes on some damaged files, and must not take a run along.

    python -m frcnn.train.pretrained.apart FILE FOLDER

leaves `layers.json` and `arrays.npz` in FOLDER, or `error.txt`.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import frcnn
from frcnn.errors import ModelError
from frcnn.train.pretrained.hdf5 import read_hdf5
from frcnn.train.pretrained.source import Source, SourceLayer

_CONFIG, _LAYERS, _ARRAYS, _ERROR = "config.json", "layers.json", "arrays.npz", "error.txt"
# Beyond what the file's size explains; broken files make the library ask for more and loop.
_SPARE_BYTES, _COPIES = 2 << 30, 4
_SPARE_SECONDS, _BYTES_PER_SECOND = 60, 10_000_000


def read_hdf5_apart(path: Path, config: str | None = None, shown: Path | None = None) -> Source:
    """What `frcnn.train.pretrained.hdf5.read_hdf5` reads, and raises."""
    shown = shown or path
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if config is not None:
            (folder / _CONFIG).write_text(config, encoding="utf-8")
        _run(path, folder, shown)
        if (folder / _ERROR).exists():
            raise ModelError(f"{shown}: {(folder / _ERROR).read_text(encoding='utf-8')}")
        return _read_result(folder)


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
        raise ModelError(f"{shown}: damaged: the HDF5 library failed on it ({last or end})")


def _read_result(folder: Path) -> Source:
    result = json.loads((folder / _LAYERS).read_text(encoding="utf-8"))
    with np.load(folder / _ARRAYS, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    layers = {
        each["name"]: SourceLayer(
            {role: arrays[key] for role, key in each["weights"].items()}, each["epsilon"]
        )
        for each in result["layers"]
    }
    return Source(result["kind"], layers, tuple(result["notes"]))


def main(path: Path, folder: Path) -> None:
    """What the other process does."""
    limit = _SPARE_BYTES + _COPIES * path.stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    config = folder / _CONFIG
    try:
        source = read_hdf5(path, config.read_text(encoding="utf-8") if config.exists() else None)
    except ModelError as error:
        (folder / _ERROR).write_text(str(error), encoding="utf-8")
        return
    arrays = {str(id(array)): array for layer in source.layers.values() for array in layer.weights.values()}
    layers = [
        {
            "name": name,
            "epsilon": layer.epsilon,
            "weights": {role: str(id(array)) for role, array in layer.weights.items()},
        }
        for name, layer in source.layers.items()
    ]
    result = {"kind": source.kind, "notes": source.notes, "layers": layers}
    (folder / _LAYERS).write_text(json.dumps(result), encoding="utf-8")
    np.savez(folder / _ARRAYS, **arrays)  # type: ignore[arg-type] # numpy takes its own option for one


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
