"""Resolves paths and `s3://` URIs that are given as arguments."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from frcnn.errors import UsageError
from frcnn.storage.address import is_remote

# `Path` turns s3:// into this, for example in a flag.
_COLLAPSED = "s3:/"
Location: TypeAlias = str | os.PathLike[str]  # a path, or s3://bucket/key


def name_of(location: Location, argument: str) -> str:
    """Returns a location as text.

    Args:
        location: Path or URI.
        argument: Name of the argument, for messages.

    Returns:
        Path or URI as text.

    Raises:
        UsageError: The location is empty, or neither text nor a path.
    """
    if not isinstance(location, str | os.PathLike):
        raise UsageError(
            f"{argument} of type {type(location).__name__}: expected a path or an s3:// URI",
            argument=argument,
        )
    name = os.fspath(location)
    if "\0" in name:
        raise UsageError(f"{argument} {name!r}: a path cannot contain a null character", argument=argument)
    if not name:
        raise UsageError(f"{argument} is empty: expected a path or an s3:// URI", argument=argument)
    return name


def local_output(location: Location, argument: str) -> Path:
    """Returns the local path of an output.

    Args:
        location: Path.
        argument: Name of the argument, for messages.

    Returns:
        The path.

    Raises:
        UsageError: The location is an S3 URI, or lies below a file, a broken link or a folder that this user
            may not write to. Outputs are replaced atomically, which S3 does not support.
    """
    name = name_of(location, argument)
    if is_remote(name) or name.startswith(_COLLAPSED):
        raise UsageError(
            f"{argument} {name}: outputs go to a local path. Copy them to S3 with `frcnn store push`.",
            argument=argument,
        )
    path = Path(name)
    nearest = next(each for each in path.absolute().parents if os.path.lexists(each))
    if not nearest.is_dir():
        kind = "a file" if nearest.exists() else "a broken link"
        raise UsageError(f"{argument} {name}: {nearest} is {kind}; expected a folder", argument=argument)
    folder = path if path.is_dir() else nearest
    # By the rights that this process has, not by those of the user who started it.
    effective = os.access in os.supports_effective_ids
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
        raise UsageError(
            f"{argument} {name}: you may not write to {folder}. Choose another folder, or change its rights",
            argument=argument,
        )
    return path


def local_folder(location: Location, argument: str) -> Path:
    """Returns a local folder; a folder on S3 is copied to the cache.

    Args:
        location: Folder or its URI.
        argument: Name of the argument, for messages.

    Returns:
        Path of the folder.

    Raises:
        UsageError: There is no such folder.
        StoreError: The folder on S3 cannot be read.
    """
    name = name_of(location, argument)
    if is_remote(name):
        from frcnn.storage.local_copy import local_copy

        return local_copy(name, argument)
    if not Path(name).is_dir():
        raise UsageError(f"{argument} {name}: no such folder", argument=argument)
    return Path(name)


@contextlib.contextmanager
def model_file(location: Location, argument: str = "model") -> Iterator[Path]:
    """Yields the model file that an argument refers to.

    Args:
        location: File; results folder, for its best checkpoint; `<folder>/best` or `<folder>/latest`; or the
            URI of a file on S3, whose local copy exists within the block.
        argument: Name of the argument, for messages.

    Yields:
        Path of the file.

    Raises:
        UsageError: The location is empty, or neither text nor a path.
        ModelError: The folder has no checkpoint, or the file does not exist.
        StoreError: The object on S3 cannot be read.
    """
    from frcnn.errors import ModelError
    from frcnn.training.run_folder import find_checkpoint

    name = name_of(location, argument)
    if is_remote(name):
        with _fetched(name) as path:
            yield path
        return
    path = find_checkpoint(Path(name), "best")
    if not path.is_file():
        raise ModelError(f"{path}: no such model file")
    yield path


@contextlib.contextmanager
def _fetched(uri: str) -> Iterator[Path]:
    from frcnn.storage import Store

    folder_uri, _, name = uri.rstrip("/").rpartition("/")
    with tempfile.TemporaryDirectory(prefix="frcnn-") as folder:
        path = Path(folder, name)
        path.write_bytes(Store.from_environment().read(f"{folder_uri}/{name}"))
        yield path
