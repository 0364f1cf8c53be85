"""A folder whose files are copied to a store as they appear, beside whatever writes them."""

import logging
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from frcnn.errors import StoreError
from frcnn.storage.store import Store

log = logging.getLogger(__name__)

INTERVAL = 2.0
# How many seconds a failed or cancelled run waits for the last uploads.
GRACE = 10.0

_Version = tuple[int, int]


class Mirror:
    """Copies new and changed files in a thread of its own; what is removed here is removed there, afterwards.

    Files have to appear whole (`frcnn.files.atomic_path`). Names that begin with a dot are left out.
    """

    def __init__(self, store: Store, folder: Path, uri: str, *, interval: float = INTERVAL) -> None:
        """`folder` need not be there yet; it is looked at every `interval` seconds."""
        self._store, self._folder, self._uri, self._interval = store, folder, uri.rstrip("/"), interval
        self._known = _versions(folder)
        self._over = threading.Event()
        self._failure: StoreError | OSError | None = None
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def __enter__(self) -> Self:
        """Begins. What is in the folder now is taken to be there already."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits until what is left is copied; after an error not for long.

        Raises:
            StoreError: Copying failed, and nothing else did.
        """
        self._over.set()
        self._thread.join(GRACE if error is not None else None)
        if error is None and self._failure is not None:
            raise self._failure

    def copy(self) -> None:
        """Copies what is new or changed, then removes what is gone.

        Raises:
            StoreError: Names the file and the remedy; what was copied stays.
        """
        found = _versions(self._folder)
        for name, version in found.items():
            if self._known.get(name) != version:
                self._store.upload_file(self._folder / name, f"{self._uri}/{name}")
                self._known[name] = version
        for name in set(self._known) - set(found):
            self._store.remove(f"{self._uri}/{name}")
            del self._known[name]

    def _run(self) -> None:
        last = False
        while not last:
            last = self._over.wait(self._interval)
            try:
                self.copy()
            except (StoreError, OSError) as error:
                self._failure = error
                if not last:
                    log.warning("%s; trying again in a moment, the run goes on", error)
            else:
                self._failure = None


def _versions(folder: Path) -> dict[str, _Version]:
    """Size and time of change of each file, by relative name."""
    found: dict[str, _Version] = {}
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(top, name)
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue  # removed since it was listed
            if not name.startswith("."):
                found[path.relative_to(folder).as_posix()] = (facts.st_size, facts.st_mtime_ns)
    return found
