"""Notices record files on a disk that are replaced while they are in use.

Records are read by their offset, which the new file of a name does not share. Objects on S3 need no check
here: each request names the ETag of the object.
"""

import contextlib
import dataclasses
from collections.abc import Iterable
from pathlib import Path

from frcnn.data.records.files import RecordFile
from frcnn.errors import DataError

_State = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class FileStates:
    """Size in bytes and modification time of local record files when they were opened."""

    states: tuple[tuple[Path, _State], ...]

    @classmethod
    def of(cls, files: Iterable[RecordFile]) -> "FileStates":
        """Notes the current state of all local files that can be accessed.

        Args:
            files: Record files, local or on S3.
        """
        found: dict[Path, _State] = {}
        for file in files:
            if isinstance(file, Path):
                with contextlib.suppress(OSError):  # opening the file gives the reason
                    found[file] = _state(file)
        return cls(tuple(found.items()))

    def require_unchanged(self) -> None:
        """Checks that the files are still those that were opened.

        Raises:
            DataError: A file was replaced, changed or removed; the message names it.
        """
        for path, state in self.states:
            try:
                now = _state(path)
            except FileNotFoundError:
                raise _changed(path, "removed") from None
            except OSError:
                continue  # the storage is unavailable, which the next read reports
            if now != state:
                raise _changed(path, "replaced")


def _state(path: Path) -> _State:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _changed(path: Path, how: str) -> DataError:
    return DataError(
        f"{path} was {how} while it was in use, so this run may have mixed old and new records. "
        "Convert into another folder while records are in use, and run this command again."
    )
