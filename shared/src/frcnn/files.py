"""Files that are written whole or not at all."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from frcnn.errors import RunError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """A temporary path beside `final`, renamed onto it when the block ends well.

    The suffix is kept, since some writers choose the format by it. On any error, Ctrl-C included,
    the temporary file or folder is removed and `final` stays as it was. The parent folder is made.

    Raises:
        RunError: the disk is full; names `final`.
    """
    folder: Path | None = None
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
        temporary = folder / final.name
        yield temporary
        if temporary.is_file():
            _flush_to_disk(temporary)
        temporary.replace(final)
    except Exception as error:
        if is_disk_full(error):
            raise RunError(f"disk full while writing {final}; make room and run again") from error
        raise
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Removes what `atomic_path` left of files of this name pattern when the process was killed.

    Nobody else may be writing such files.
    """
    for path in folder.glob(f".{pattern}.????????"):
        shutil.rmtree(path, ignore_errors=True)


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed for lack of space, quota or file size, as Python, HDF5 or TensorFlow say it."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(os.strerror(number) in str(error) for number in _FULL)


def no_room_to_read(path: Path) -> RunError:
    """What to raise when the folder for temporary files is too small to unpack `path` in."""
    return RunError(
        f"{path}: no room to unpack it in {tempfile.gettempdir()}; make room there, or set TMPDIR"
    )


@contextmanager
def unlinked_file() -> Iterator[Path]:
    """A file without a name, for what must not outlive this process, however that ends.

    It lies in the folder for temporary files, can be read by this user only, and is written and read by
    the path that is given, but by this process alone: others get it as an open file.
    """
    with tempfile.TemporaryFile() as stream:
        yield Path(f"/proc/self/fd/{stream.fileno()}")


def write_text(final: Path, text: str) -> None:
    """Writes UTF-8 text to `final`, whole or not at all."""
    with atomic_path(final) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
