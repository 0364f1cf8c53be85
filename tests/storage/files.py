"""Folders to publish, and a look at what came back."""

import numpy as np


def write(folder, contents):
    """Files by relative name; a number stands for so many bytes, the same each time."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else noise(content, seed=len(name)))
    return folder


def noise(count, seed=0):
    return np.random.default_rng(seed).bytes(count)


def contents(folder):
    """Every file below a folder, by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def names(folder):
    return sorted(path.name for path in folder.iterdir())
