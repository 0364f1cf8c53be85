"""Caches the objects of one kind from a watch, so that polling them sends no requests."""

import logging
import threading
from collections.abc import Callable, Iterator

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from components.mpijob.api_errors import ExpiredWatchError, RefusedError, UnreachableError
from components.mpijob.diagnosis import Json

log = logging.getLogger(__name__)

# (resource version to start after, or None for existing objects; seconds) -> (event type, object)
Watch = Callable[[str | None, int], Iterator[tuple[str, Json]]]

# Short enough that a stopped thread and a broken connection end soon.
_SECONDS = 60


class Watched(threading.Thread):
    """Thread that watches the objects of one kind and keeps their current state."""

    def __init__(self, what: str, watch: Watch, *, pause: float = 1.0) -> None:
        """Creates the thread. Sends no request before it is started.

        Args:
            what: Name for the log.
            watch: Function that starts a watch.
            pause: Seconds between failing attempts.
        """
        super().__init__(name=f"watch of {what}", daemon=True)
        self._what, self._watch, self._pause = what, watch, pause
        self._objects: dict[str, Json] = {}
        self._refused: RefusedError | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def items(self) -> list[Json]:
        """Returns the objects as last seen, oldest first.

        Raises:
            RefusedError: Access to them is denied.
        """
        with self._lock:
            if self._refused is not None:
                raise self._refused
            objects = list(self._objects.values())
        return sorted(objects, key=lambda each: str(each["metadata"].get("creationTimestamp", "")))

    def stop(self) -> None:
        """Requests the thread to end; it does so with the current watch."""
        self._stopped.set()

    def run(self) -> None:
        """Watches until `stop` is called or access is denied."""
        version: str | None = None
        while not self._stopped.is_set():
            try:
                for kind, seen in self._watch(version, _SECONDS):
                    if self._stopped.is_set():
                        return
                    version = seen["metadata"]["resourceVersion"]
                    self._take(kind, seen)
                continue
            except ExpiredWatchError:
                version = None  # start over, because deletions may have been missed
                with self._lock:
                    self._objects.clear()
            except RefusedError as error:
                with self._lock:
                    self._refused = error
                return
            except (ApiException, HTTPError, OSError, UnreachableError, ValueError) as error:
                log.debug("Watch of %s: %s; retrying", self._what, error)
            self._stopped.wait(self._pause)

    def _take(self, kind: str, seen: Json) -> None:
        if kind == "BOOKMARK":
            return
        name = seen["metadata"]["name"]
        with self._lock:
            if kind == "DELETED":
                self._objects.pop(name, None)
            else:
                self._objects[name] = seen
