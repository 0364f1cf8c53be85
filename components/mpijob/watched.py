"""The objects of one kind as a watch shows them, so that waiting costs the API server no listings."""

import logging
import threading
from collections.abc import Callable, Iterator

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from components.mpijob.api import ExpiredWatchError, RefusedError, UnreachableError
from components.mpijob.diagnosis import Json

log = logging.getLogger(__name__)

# (version to begin after, None for the state now; seconds to stay) -> (kind of change, object)
Watch = Callable[[str | None, int], Iterator[tuple[str, Json]]]

# Short enough that a thread that is told to stop, and a dead connection, go soon.
_SECONDS = 60


class Watched(threading.Thread):
    """Keeps the current objects of one kind; a thread of its own follows their changes."""

    def __init__(self, what: str, watch: Watch, *, pause: float = 1.0) -> None:
        """Makes no request before it is started.

        Args:
            what: Name for the log.
            watch: Begins a watch.
            pause: Seconds between attempts that fail.
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
            RefusedError: The API does not let us watch them.
        """
        with self._lock:
            if self._refused is not None:
                raise self._refused
            objects = list(self._objects.values())
        return sorted(objects, key=lambda each: str(each["metadata"].get("creationTimestamp", "")))

    def stop(self) -> None:
        """Lets the thread end with the watch that is open."""
        self._stopped.set()

    def run(self) -> None:
        """Follows until told to stop, or refused."""
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
                version = None  # what was deleted meanwhile must not stay
                with self._lock:
                    self._objects.clear()
            except RefusedError as error:
                with self._lock:
                    self._refused = error
                return
            except (ApiException, HTTPError, OSError, UnreachableError, ValueError) as error:
                log.debug("watch of %s: %s; trying again", self._what, error)
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
