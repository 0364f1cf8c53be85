"""Cache folder for local copies: its location, and the check that it belongs to the current user."""

import os
import stat
import tempfile
from pathlib import Path

from frcnn.errors import StoreError

FOLDER_VARIABLE = "FRCNN_CACHE"
_NAME = "frcnn"


def default_folder() -> Path:
    """Returns the user's cache folder, or a temporary folder if the user has no home."""
    import platformdirs

    folder = Path(platformdirs.user_cache_dir(_NAME, appauthor=False))
    if folder.is_absolute() and _may_be_made(folder):
        return folder
    # A container that runs under an arbitrary user id has no home. `private_part` checks the owner.
    return Path(tempfile.gettempdir(), f"{_NAME}-cache-{os.getuid()}")


def private_part(cache: Path, name: str) -> Path:
    """Creates a cache subfolder that only the current user can read and change.

    Args:
        cache: Cache folder; created if missing.
        name: Name of the subfolder.

    Returns:
        Path of the subfolder.

    Raises:
        StoreError: The cache or the subfolder belongs to another user or cannot be created.
    """
    _private(cache, chosen=os.environ.get(FOLDER_VARIABLE) == str(cache))
    return _private(cache / name)


def _private(folder: Path, *, chosen: bool = False) -> Path:
    """Creates a private folder; a `chosen` one may be a link, or a volume that belongs to root."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        facts = folder.stat() if chosen else folder.lstat()
        mine = facts.st_uid == os.geteuid()
        if not stat.S_ISDIR(facts.st_mode) or not (mine or (chosen and facts.st_uid == 0)):
            raise StoreError(
                f"{folder}: belongs to user {facts.st_uid}, who could change the copies in it. Remove it, "
                f"or set {FOLDER_VARIABLE} to a folder of your own."
            )
        if mine and stat.S_IMODE(facts.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot store local copies there ({error.strerror}). Set {FOLDER_VARIABLE} to a "
            "folder of your own."
        ) from error
    return folder


def _may_be_made(folder: Path) -> bool:
    above = next(each for each in (folder, *folder.parents) if each.exists())
    return os.access(above, os.W_OK | os.X_OK)
