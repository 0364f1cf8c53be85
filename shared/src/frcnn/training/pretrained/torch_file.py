"""Reads PyTorch state dicts: `.safetensors`, `.pt` and `.pth`, without running their code.

`.pt` files have two layouts. Since PyTorch 1.6: a zip archive of `data.pkl` and one member per storage.
Before: five pickles (magic number, version, machine, state dict, names of storages), then the storages.
"""

import dataclasses
import io
import math
import mmap
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from frcnn.errors import ModelError
from frcnn.limits import ARCHIVE_DIRECTORY_BYTES, open_archive
from frcnn.training.pretrained.restricted_pickle import Name, PickleDataError, read_pickle

LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_MAX_RANK = 8

# PyTorch's storage classes for weights or counters; `_float32` widens bfloat16.
_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


@dataclasses.dataclass(frozen=True)
class _Storage:
    """Storage of tensors; `kind` is PyTorch's class name, `count` the number of values."""

    kind: str
    key: str
    count: int


@dataclasses.dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


ReadStorage = Callable[[_Storage], bytes]


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads all floating-point tensors of a `.safetensors` file.

    Args:
        path: File.

    Returns:
        float32 arrays by name.

    Raises:
        ModelError: The file is broken.
    """
    import safetensors

    try:
        _check_safetensors_header(path)
        with safetensors.safe_open(path, framework="numpy") as archive:
            return {
                name: np.asarray(archive.get_tensor(name)).astype(np.float32)
                for name in archive.keys()  # noqa: SIM118 - not a mapping
                if archive.get_slice(name).get_dtype() in ("F16", "BF16", "F32", "F64")
            }
    except (safetensors.SafetensorError, OSError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: not a readable .safetensors file ({error})") from error


def _check_safetensors_header(path: Path) -> None:
    """Raises ValueError for a longer table of contents than any weight file has."""
    with path.open("rb") as handle:
        size = int.from_bytes(handle.read(8), "little")
    if size > ARCHIVE_DIRECTORY_BYTES:
        raise ValueError(f"a header of {size} bytes")


def read_torch_zip(path: Path) -> dict[str, np.ndarray]:
    """Reads all floating-point tensors of a `.pt` file from PyTorch 1.6 or newer.

    Args:
        path: File.

    Returns:
        float32 arrays by name.

    Raises:
        ModelError: The file is broken or contains more than tensors.
    """
    try:
        with open_archive(path) as archive:
            (pickled,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            folder = pickled.removesuffix("data.pkl")
            if f"{folder}byteorder" in archive.namelist():
                _refuse_big_endian(_member(archive, f"{folder}byteorder"))
            tree = read_pickle(io.BytesIO(_member(archive, pickled)), _CALLS, _storage)
            return _arrays(tree, lambda storage: _member(archive, f"{folder}data/{storage.key}"))
    except _FAULTS as error:
        raise ModelError(f"{path}: not a readable PyTorch state dict ({error})") from error


def read_torch_legacy(path: Path) -> dict[str, np.ndarray]:
    """Reads all floating-point tensors of a `.pt` file from before PyTorch 1.6.

    Args:
        path: File.

    Returns:
        float32 arrays by name.

    Raises:
        ModelError: The file is broken or contains more than tensors.
    """
    try:
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for _ in ("magic number", "version"):
                read_pickle(content, {}, _storage)
            machine = read_pickle(content, {}, _storage)
            if not machine["little_endian"]:
                _refuse_big_endian(b"big")
            kinds: dict[str, str] = {}

            def storage(identity: Any) -> _Storage:
                found = _storage(identity)
                kinds[found.key] = found.kind
                return found

            tree = read_pickle(content, _CALLS, storage)
            stored = dict(_legacy_storages(content, kinds))
            return _arrays(tree, lambda storage: stored[storage.key])
    except _FAULTS as error:
        raise ModelError(f"{path}: not a readable PyTorch state dict ({error})") from error


def _legacy_storages(content: mmap.mmap, kinds: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """Yields names and bytes of the storages at the end of an old file."""
    for key in read_pickle(content, {}, _storage):
        (count,) = struct.unpack("<q", content.read(8))
        size = count * np.dtype(_DTYPES[kinds[key]]).itemsize
        if count < 0 or size > len(content) - content.tell():
            raise PickleDataError(f"storage {key} is truncated")
        yield key, content.read(size)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Reads a member. PyTorch stores members uncompressed, so none can be larger than the file."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise PickleDataError(f"{name} is compressed; PyTorch never compresses members")
    if info.file_size > Path(archive.filename or "").stat().st_size:
        raise PickleDataError(f"{name} claims to be larger than the file")
    return archive.read(name)


def _refuse_big_endian(order: bytes) -> None:
    if order.strip() != b"little":
        raise PickleDataError("it is stored big-endian. Save it again on a little-endian machine.")


def _storage(identity: Any) -> _Storage:
    """Parses the persistent id ("storage", class, key, location, count, ...) of a storage."""
    word, kind, key, _, count = identity[:5]
    if word != "storage" or not isinstance(kind, Name) or kind.name not in _DTYPES:
        shown = f"{kind.module}.{kind.name}" if isinstance(kind, Name) else type(kind).__name__
        raise PickleDataError(f"it contains something other than a tensor: {shown[:80]}")
    if not isinstance(key, str) or not isinstance(count, int):
        raise PickleDataError("broken storage")
    return _Storage(kind.name, key, count)


def _tensor(arguments: tuple[Any, ...]) -> _Tensor:
    """Replaces `torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, ...)`."""
    storage, offset, shape, strides = arguments[:4]
    tensor = _Tensor(storage, offset, tuple(shape), tuple(strides))
    numbers = [offset, *tensor.shape, *tensor.strides]
    if not isinstance(storage, _Storage) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise PickleDataError("broken tensor")
    if len(tensor.shape) != len(tensor.strides) or len(tensor.shape) > _MAX_RANK:
        raise PickleDataError("broken tensor")
    # Strides of 0 could expand one number to gigabytes.
    if math.prod(tensor.shape) > storage.count:
        raise PickleDataError("a tensor claims to be larger than its storage")
    return tensor


_CALLS: dict[Name, Callable[[tuple[Any, ...]], Any]] = {
    Name("collections", "OrderedDict"): lambda arguments: {},
    Name("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Name("torch._utils", "_rebuild_parameter"): lambda arguments: arguments[0],
}


def _arrays(tree: Any, read: ReadStorage) -> dict[str, np.ndarray]:
    """Reads the floating-point tensors of a state dict or checkpoint as float32."""
    # Each storage is read and widened once, even if many tensors are views of it.
    storages: dict[tuple[str, str], np.ndarray] = {}

    def values(storage: _Storage) -> np.ndarray:
        place = storage.kind, storage.key
        if place not in storages:
            storages[place] = _float32(np.frombuffer(read(storage), _DTYPES[storage.kind]), storage.kind)
        return storages[place]

    found = {name: _array(each, values) for name, each in _tensors_in(tree).items() if _is_float(each)}
    if not found:
        raise PickleDataError("it contains no floating-point tensors")
    return found


def _tensors_in(tree: Any) -> dict[str, _Tensor]:
    """Returns the largest dictionary of tensors; checkpoints contain other ones, too."""
    if not isinstance(tree, dict):
        raise PickleDataError("it is not a dictionary of tensors. Save model.state_dict().")
    candidates = [tree, *(value for value in tree.values() if isinstance(value, dict))]
    tables = [
        {name: value for name, value in each.items() if isinstance(name, str) and isinstance(value, _Tensor)}
        for each in candidates
    ]
    return max(tables, key=len)


def _is_float(tensor: _Tensor) -> bool:
    return tensor.storage.kind in ("FloatStorage", "DoubleStorage", "HalfStorage", "BFloat16Storage")


def _float32(values: np.ndarray, kind: str) -> np.ndarray:
    if kind == "BFloat16Storage":
        return (values.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def _array(tensor: _Tensor, read: Callable[[_Storage], np.ndarray]) -> np.ndarray:
    values = read(tensor.storage)
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, np.float32)
    if last >= len(values):
        raise PickleDataError("a tensor extends beyond its storage")
    steps = [stride * values.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, steps, writeable=False)


# Exceptions that broken files cause in zipfile, struct, mmap and the code above.
_FAULTS = (
    PickleDataError,
    zipfile.BadZipFile,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
)
