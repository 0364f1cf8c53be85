"""Replaces a set of files by another in a single step, even if the process is killed.

Several files cannot be renamed at once. So every name of either set becomes a link that leads through one
common link, `now`, to the old or the new files. A name that only the other set has leads nowhere, or to an
empty file. Renaming `now` switches all of them. Then the files themselves replace the links. Readers always
see either the old set or the new one. `settle` completes or reverts a switch that a killed process began.

    set-shard-0 -> .frcnn.set.work/now/set-shard-0        now -> old, then new
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from frcnn.errors import RunError
from frcnn.files import is_disk_full, make_staging_folder, no_space_text

_OLD, _NEW, _NOW, _NEXT, _LINK, _NOTHING = "old", "new", "now", "next", "link", "nothing"
# Path of the empty file relative to the folder of either set.
_STAND_IN = Path("..") / _NOTHING
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class SetSwitch:
    """Switch between two sets of files with a common prefix; a hidden folder has the new set.

    Only one process at a time may use a switch of the same prefix.
    """

    def __init__(self, prefix: Path, *, stand_ins: bool = False) -> None:
        """Stores its arguments; creates no files.

        Args:
            prefix: Path whose name is the common prefix of the files, or their full name.
            stand_ins: Whether a file that only one set has appears empty instead of missing while the other
                set is in use. For readers that list names before they open files.
        """
        self._parent = prefix.parent
        self._stand_ins = stand_ins
        self._work = prefix.with_name(f".frcnn.{prefix.name}.work")

    @property
    def new(self) -> Path:
        """Folder for the files of the new set."""
        return self._work / _NEW

    def begin(self) -> None:
        """Cleans up after a killed process, and creates the folder for the new set."""
        make_staging_folder(self._work)
        self.settle()
        self.new.mkdir(parents=True)

    def commit(self, former: Collection[str]) -> None:
        """Replaces the old files by those in `new`.

        Args:
            former: Names of the files to replace. Existing files with names of the new set are replaced too.
        """
        names = {path.name for path in self.new.iterdir()}
        former = {*former, *(name for name in names if os.path.lexists(self._parent / name))}
        (self._work / _OLD).mkdir()
        (self._work / _NOTHING).touch()
        try:
            (self._work / _NOW).symlink_to(_OLD)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._replace_one_by_one(names, former)
            return
        if self._stand_ins:
            for name in sorted(former - names):
                (self.new / name).symlink_to(_STAND_IN)
            for name in sorted(names - former):
                (self._work / _OLD / name).symlink_to(_STAND_IN)
        for name in sorted(names - former):
            self._link(name)
        for name in sorted(former):
            _duplicate(self._parent / name, self._work / _OLD / name)
            self._link(name)
        (self._work / _NEXT).symlink_to(_NEW)
        (self._work / _NEXT).replace(self._work / _NOW)
        self.settle()

    def settle(self) -> None:
        """Replaces the links by the files of the current set, and removes all other files."""
        if self._work.is_symlink() or not self._work.is_dir():
            return
        current = self._work / _NOW
        for path in self._links():
            if _is_absent(current / path.name):
                path.unlink()
            else:
                (current / path.name).replace(path)
        shutil.rmtree(self._work, ignore_errors=True)

    def _links(self) -> list[Path]:
        """Lists the links that lead through `now`."""
        places = Path(self._work.name) / _NOW
        with os.scandir(self._parent) as entries:
            links = sorted(self._parent / entry.name for entry in entries if entry.is_symlink())
        return [path for path in links if path.readlink() == places / path.name]

    def _link(self, name: str) -> None:
        link = self._work / _LINK
        link.symlink_to(Path(self._work.name) / _NOW / name)
        link.replace(self._parent / name)

    def _replace_one_by_one(self, names: Collection[str], former: Collection[str]) -> None:
        """Replaces files one by one where links are not supported; may leave a mixed set."""
        for name in sorted(set(former) - set(names)):
            (self._parent / name).unlink(missing_ok=True)
        for name in sorted(names):
            (self.new / name).replace(self._parent / name)
        shutil.rmtree(self._work, ignore_errors=True)


@contextlib.contextmanager
def switched(path: Path) -> Iterator[Path]:
    """Yields a folder whose files are moved next to `path` in one step if the block succeeds.

    Args:
        path: Path whose name is the common prefix of the files, or their full name.

    Yields:
        Folder for the new files.

    Raises:
        RunError: The disk is full; the message names `path`.
    """
    switch = SetSwitch(path)
    try:
        switch.begin()
        yield switch.new
        switch.commit(())
    except RunError as error:
        if error.__cause__ is not None and is_disk_full(error.__cause__):
            raise RunError(no_space_text(error.__cause__, path)) from error
        raise
    finally:
        switch.settle()


def _is_absent(path: Path) -> bool:
    """Checks whether a set does not have a file of this name."""
    return not os.path.lexists(path) or (path.is_symlink() and path.readlink() == _STAND_IN)


def _duplicate(source: Path, target: Path) -> None:
    """Creates a hard link to a file, or copies it where hard links are not supported."""
    if source.is_symlink():
        target.symlink_to(source.resolve())
        return
    with contextlib.suppress(OSError):
        target.hardlink_to(source)
        return
    shutil.copy2(source, target)
