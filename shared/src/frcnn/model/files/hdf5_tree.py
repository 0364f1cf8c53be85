"""Reads HDF5 weight files as arrays and the texts that name them.

Only h5py is used: no layer is built, and no class is looked up. Read untrusted files with
`frcnn.model.files.hdf5_process`, because the HDF5 library crashes on some damaged files.
"""

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from frcnn.errors import ModelError
from frcnn.limits import HDF5_TEXT_BYTES

_MAX_DEPTH = 32
# A detector of 1000 layers with Adam has 10,000 arrays.
_MAX_MEMBERS = 200_000
# Maximum size of all arrays relative to the file, which may be compressed.
_MAX_EXPANSION = 4

# Exceptions of h5py and of the code below for broken files.
FAULTS = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    RuntimeError,
    NotImplementedError,
    AttributeError,
    OverflowError,
    MemoryError,
)


@dataclasses.dataclass
class Tree:
    """Members of an HDF5 file by path, such as `layers/conv2d/vars/0`; the file itself is `""`.

    Attributes:
        arrays: Arrays of any numeric type, as stored.
        texts: Attributes that are texts or lists of texts, by the path of their group or array.
    """

    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    texts: dict[str, dict[str, str | list[str]]] = dataclasses.field(default_factory=dict)

    def numbered(self, group: str) -> list[np.ndarray]:
        """Returns the arrays `0`, `1`, ... of a group, as Keras numbers a layer's weights."""
        arrays: list[np.ndarray] = []
        while (array := self.arrays.get(f"{group}/{len(arrays)}")) is not None:
            arrays.append(array)
        return arrays


def read_tree(path: Path) -> Tree:
    """Reads an HDF5 file.

    Rejects links to other places, arrays that are stored in other files or larger than the file allows, and
    members that are not numeric.

    Args:
        path: HDF5 file.

    Returns:
        Arrays and texts of the file.

    Raises:
        ModelError: The file is broken or rejected; the message does not name the file.
    """
    try:
        # Pass an open file: the HDF5 library cannot open an unnamed file by path.
        with path.open("rb") as stream, h5py.File(stream, "r") as archive:
            reader = _Reader(path.stat().st_size)
            reader.visit(archive, "", 0)
    except FAULTS as error:
        raise ModelError(f"damaged: not a readable HDF5 weight file ({error})") from error
    return reader.tree


class _Reader:
    """Reads a file recursively and enforces the limits."""

    def __init__(self, size: int) -> None:
        self.tree = Tree()
        self._largest, self._left = size, _MAX_EXPANSION * size
        self._members = 0
        self._text_left = HDF5_TEXT_BYTES + size
        self._by_address: dict[int, np.ndarray] = {}

    def visit(self, group: h5py.Group, path: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise ValueError("groups nested too deeply")
        self._attributes(group, path)
        for key in group:
            self._members += 1
            if self._members > _MAX_MEMBERS:
                raise ValueError("more members than any weight file")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise ValueError(f"{key!r} is a link, which no weight file needs")
            child, name = group[key], f"{path}/{key}" if path else key
            self._count_text(len(name))
            if isinstance(child, h5py.Group):
                self.visit(child, name, depth + 1)
            else:
                self.tree.arrays[name] = self._array(child)
                self._attributes(child, name)

    def _array(self, dataset: Any) -> np.ndarray:
        if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiub":
            raise ValueError("a weight is not an array of numbers")
        # Read an array with many names only once; otherwise a small file could fill the memory.
        address = h5py.h5o.get_info(dataset.id).addr
        if address not in self._by_address:
            if dataset.is_virtual or dataset.external:
                raise ValueError("a weight is stored in another file")
            if dataset.nbytes > self._largest or dataset.nbytes > self._left:
                raise ValueError("a weight is larger than the file")
            self._left -= dataset.nbytes
            self._by_address[address] = np.asarray(dataset[()])
        return self._by_address[address]

    def _attributes(self, member: Any, path: str) -> None:
        found = {}
        for name in member.attrs:
            values = np.asarray(member.attrs[name])
            if values.dtype.kind not in "OSU":
                continue
            texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values.ravel()]
            self._count_text(sum(map(len, texts)))
            found[name] = texts if values.ndim else texts[0]
        if found:
            self.tree.texts[path] = found

    def _count_text(self, length: int) -> None:
        self._text_left -= length
        if self._text_left < 0:
            raise ValueError("more names and texts than any weight file")
