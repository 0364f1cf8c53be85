"""Mirrors a folder to a store while another part of the program writes to it."""

import logging
import stat
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from frcnn.errors import FrcnnError, UsageError
from frcnn.paths import UnsafeNameError
from frcnn.regular_file import walk
from frcnn.storage.store import Store

log = logging.getLogger(__name__)

INTERVAL = 2.0
# Maximum wait of a failed or canceled run for the last uploads, s.
GRACE = 10.0

_Version = tuple[int, int]


class Mirror:
    """Background thread that copies new and changed files, and removes deleted ones.

    Files must appear atomically (`frcnn.files.atomic_path`). Names that begin with a dot are ignored.
    """

    def __init__(self, store: Store, folder: Path, uri: str, *, interval: float = INTERVAL) -> None:
        """Creates a mirror.

        Args:
            store: Store to copy to.
            folder: Folder to mirror; need not exist yet.
            uri: URI or path to copy to.
            interval: Time between two scans of the folder, s.
        """
        self._store, self._folder, self._uri, self._interval = store, folder, uri.rstrip("/"), interval
        self._known = _versions(folder)
        self._skipped: set[str] = set()
        self._over = threading.Event()
        self._failure: FrcnnError | OSError | None = None
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def __enter__(self) -> Self:
        """Starts mirroring. Files that are in the folder now count as already copied."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits until all files are copied; after an error, at most for `GRACE` seconds.

        Raises:
            FrcnnError: Copying failed, and the block did not.
        """
        self._over.set()
        self._thread.join(GRACE if error is not None else None)
        if error is None and self._failure is not None:
            raise self._failure

    def copy(self) -> None:
        """Copies new and changed files, then removes deleted ones from the store.

        Raises:
            RunError: A folder cannot be listed.
            StoreError: A request failed. Files copied before are kept.
        """
        found = _versions(self._folder)
        for name, version in found.items():
            if self._known.get(name) != version:
                self._upload(name)
                self._known[name] = version
        for name in set(self._known) - set(found):
            if name not in self._skipped:
                self._store.remove(f"{self._uri}/{name}")
            del self._known[name]

    def _upload(self, name: str) -> None:
        """Uploads a file; skips one whose name the store refuses, so that the others are copied."""
        try:
            self._store.upload_file(self._folder / name, f"{self._uri}/{name}")
        except (UsageError, UnsafeNameError) as error:
            self._skipped.add(name)
            log.warning("%s is not copied; rename it: %s", self._folder / name, error)

    def _run(self) -> None:
        last = False
        while not last:
            last = self._over.wait(self._interval)
            try:
                self.copy()
            except (FrcnnError, OSError) as error:
                self._failure = error
                if not last:
                    log.warning("Copying failed; retrying while the run continues: %s", error)
            else:
                self._failure = None


def _versions(folder: Path) -> dict[str, _Version]:
    """Returns size and modification time of each file, by relative name."""
    found: dict[str, _Version] = {}
    for top, folders, names in walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(top, name)
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue  # removed since it was listed
            if stat.S_ISREG(facts.st_mode) and not name.startswith("."):
                found[path.relative_to(folder).as_posix()] = (facts.st_size, facts.st_mtime_ns)
    return found
