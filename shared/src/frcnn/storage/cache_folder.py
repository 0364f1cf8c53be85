"""The folder of copies on this machine: where it is, and that it belongs to this user alone."""

import os
import stat
import tempfile
from pathlib import Path

from frcnn.errors import StoreError

FOLDER_VARIABLE = "FRCNN_CACHE"
_NAME = "frcnn"


def default_folder() -> Path:
    """Returns the user's cache folder as the platform names it; without a home, a temporary one."""
    import platformdirs

    folder = Path(platformdirs.user_cache_dir(_NAME, appauthor=False))
    if folder.is_absolute() and _may_be_made(folder):
        return folder
    # No home: a container that runs as any user id. `private_part` refuses it if somebody else made it.
    return Path(tempfile.gettempdir(), f"{_NAME}-cache-{os.getuid()}")


def private_part(cache: Path, name: str) -> Path:
    """Returns the folder `name` of the cache, made if need be, that only this user can read and change.

    Raises:
        StoreError: It, or the cache, belongs to another user or cannot be made.
    """
    _private(cache, chosen=os.environ.get(FOLDER_VARIABLE) == str(cache))
    return _private(cache / name)


def _private(folder: Path, *, chosen: bool = False) -> Path:
    """Makes one folder; root may own one that was `chosen`, as a mounted volume, and it may be a link."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        facts = folder.stat() if chosen else folder.lstat()
        mine = facts.st_uid == os.geteuid()
        if not stat.S_ISDIR(facts.st_mode) or not (mine or (chosen and facts.st_uid == 0)):
            raise StoreError(
                f"{folder}: belongs to user {facts.st_uid}, who could change the copies in it; remove it, "
                f"or set {FOLDER_VARIABLE} to a folder of your own"
            )
        if mine and stat.S_IMODE(facts.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be used for copies ({error.strerror}); set {FOLDER_VARIABLE} to a folder of "
            "your own"
        ) from error
    return folder


def _may_be_made(folder: Path) -> bool:
    above = next(each for each in (folder, *folder.parents) if each.exists())
    return os.access(above, os.W_OK | os.X_OK)
