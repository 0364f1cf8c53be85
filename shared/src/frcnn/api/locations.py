"""Paths and `s3://` URIs as arguments."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from frcnn.errors import UsageError
from frcnn.storage.address import is_remote

Location: TypeAlias = str | os.PathLike[str]  # a path, or s3://bucket/key


def name_of(location: Location, argument: str) -> str:
    """Returns a location as text.

    Raises:
        UsageError: It is no path; the message names the argument.
    """
    if not isinstance(location, str | os.PathLike):
        raise UsageError(
            f"{argument} of type {type(location).__name__}: expected a path or an s3:// URI",
            argument=argument,
        )
    name = os.fspath(location)
    if not name:
        raise UsageError(f"{argument} is empty: expected a path or an s3:// URI", argument=argument)
    return name


def local_output(location: Location, argument: str) -> Path:
    """Returns the path that an output goes to.

    Raises:
        UsageError: It is an S3 URI: outputs are written whole or not at all, and S3 has no such place.
    """
    name = name_of(location, argument)
    if is_remote(name):
        raise UsageError(
            f"{argument} {name}: outputs go to a local path; `frcnn store push` copies them to S3",
            argument=argument,
        )
    return Path(name)


def local_folder(location: Location, argument: str) -> Path:
    """Returns a folder, copied from S3 into the cache if it lies there.

    Raises:
        UsageError: There is no such folder.
        StoreError: The folder on S3 cannot be had.
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
    """Yields the file that a model argument means.

    Args:
        location: A file; a results folder, which means its best checkpoint; `<folder>/best` or
            `<folder>/latest`; or a file on S3, which is there as long as the block lasts.
        argument: What messages call it.

    Raises:
        UsageError: It is no path.
        ModelError: A folder without a checkpoint, or no such file.
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
