"""Replaces one set of files by another in a single step, whatever their names and whenever it is killed.

File names that are read by a pattern cannot be renamed all at once. So every name of either set becomes a
link that leads through one common link, `now`, to the old or the new files; a name that only the other set
has leads to an empty file, which holds no records. Renaming `now` switches all of them. Then the links give
way to the files themselves. Readers see the old set or the new one at every moment; `settle` completes what
a killed process began, forwards or backwards.

    set-shard-0 -> .frcnn.set.work/now/set-shard-0        now -> old, then new
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Collection
from pathlib import Path

_OLD, _NEW, _NOW, _NEXT, _LINK, _NOTHING = "old", "new", "now", "next", "link", "nothing"
# From one of the folders to the empty file.
_STAND_IN = Path("..") / _NOTHING
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class SetSwitch:
    """The files below one prefix, and the hidden folder next to them in which the next set is written.

    Only one process at a time may have one of the same prefix.
    """

    def __init__(self, prefix: Path) -> None:
        """Nothing is created yet."""
        self._parent = prefix.parent
        self._work = prefix.with_name(f".frcnn.{prefix.name}.work")

    @property
    def new(self) -> Path:
        """Folder for the files of the new set."""
        return self._work / _NEW

    def begin(self) -> None:
        """Completes what a killed process left, and creates the folder for the new set."""
        self.settle()
        self.new.mkdir(parents=True)

    def commit(self, former: Collection[str]) -> None:
        """Puts the files in `new` in place of `former`.

        Args:
            former: Names of the files to replace; other files of the new names are replaced too.
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
        for name in sorted(former - names):
            (self.new / name).symlink_to(_STAND_IN)
        for name in sorted(names - former):
            (self._work / _OLD / name).symlink_to(_STAND_IN)
            self._link(name)
        for name in sorted(former):
            _duplicate(self._parent / name, self._work / _OLD / name)
            self._link(name)
        (self._work / _NEXT).symlink_to(_NEW)
        (self._work / _NEXT).replace(self._work / _NOW)
        self.settle()

    def settle(self) -> None:
        """Makes the visible files real ones, old or new as the switch stands, and removes all else."""
        if not self._work.is_dir():
            return
        current = self._work / _NOW
        for path in self._links():
            if _is_stand_in(current / path.name):
                path.unlink()
            else:
                (current / path.name).replace(path)
        shutil.rmtree(self._work, ignore_errors=True)

    def _links(self) -> list[Path]:
        """Lists the names that lead through `now`; those of empty stand-ins last."""
        places = Path(self._work.name) / _NOW
        found = [
            path
            for path in sorted(self._parent.iterdir())
            if path.is_symlink() and path.readlink() == places / path.name
        ]
        return sorted(found, key=lambda path: _is_stand_in(self._work / _NOW / path.name))

    def _link(self, name: str) -> None:
        link = self._work / _LINK
        link.symlink_to(Path(self._work.name) / _NOW / name)
        link.replace(self._parent / name)

    def _replace_one_by_one(self, names: Collection[str], former: Collection[str]) -> None:
        """For file systems without symbolic links; a process killed here leaves a part of a set."""
        for name in sorted(set(former) - set(names)):
            (self._parent / name).unlink(missing_ok=True)
        for name in sorted(names):
            (self.new / name).replace(self._parent / name)
        shutil.rmtree(self._work, ignore_errors=True)


def _is_stand_in(path: Path) -> bool:
    return path.is_symlink() and path.readlink() == _STAND_IN


def _duplicate(source: Path, target: Path) -> None:
    """Gives a file a second name, or copies it where the file system allows no second names."""
    if source.is_symlink():
        target.symlink_to(source.resolve())
        return
    with contextlib.suppress(OSError):
        target.hardlink_to(source)
        return
    shutil.copy2(source, target)
