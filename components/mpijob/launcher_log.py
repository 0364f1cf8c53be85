"""The launcher's log, line by line, over dropped connections and restarted launchers."""

import datetime
import logging
import re
import threading
from collections.abc import Callable

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from components.mpijob.api import Cluster
from components.mpijob.diagnosis import Json
from components.mpijob.manifest import ROLE_LABEL
from frcnn.errors import RunError

log = logging.getLogger(__name__)

# Node and client may tell different times; lines that come twice for it are dropped by their time.
_CLOCK_SKEW_SECONDS = 60
# Source: mpirun's manual page, --tag-output.
_TAG = re.compile(r"\[\d+,(\d+)\]<(?:stdout|stderr|stddiag)>: ?")


class LauncherLog(threading.Thread):
    """Copies the log of each launcher pod of a job, in the order in which they were started."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        write: Callable[[str], None],
        *,
        pods: Callable[[], list[Json]] | None = None,
        pause: float = 1.0,
    ) -> None:
        """Makes no request before it is started.

        Args:
            cluster: Where the job is.
            name: Name of the job.
            write: Gets each line without its end, from this thread.
            pods: Gives the job's pods as last seen; default: lists them.
            pause: Seconds between attempts.
        """
        super().__init__(name=f"log of {name}", daemon=True)
        self._cluster, self._job, self._write, self._pause = cluster, name, write, pause
        self._pods = pods or (lambda: cluster.pods(name))
        self._newest: dict[str, str] = {}  # pod -> time of its newest line, as the server writes it
        self._finished: set[str] = set()
        self._finishing = threading.Event()

    def run(self) -> None:
        """Copies until told to finish."""
        while True:
            last_round = self._finishing.is_set()
            try:
                for pod in self._launchers(last_round):
                    self._copy(pod)
            except (ApiException, HTTPError, OSError, RunError) as error:
                log.debug("log of the launcher of %s: %s; trying again", self._job, error)
            if last_round:
                return
            self._finishing.wait(self._pause)

    def finish(self, seconds: float) -> None:
        """Copies what is left, for `seconds` at most."""
        self._finishing.set()
        self.join(seconds)

    def _launchers(self, last_round: bool) -> list[Json]:
        # Once, at the end, a listing: what a watch has not told yet must not be missed.
        pods = self._cluster.pods(self._job) if last_round else self._pods()
        return [pod for pod in pods if pod["metadata"].get("labels", {}).get(ROLE_LABEL) == "launcher"]

    def _copy(self, pod: Json) -> None:
        name = pod["metadata"]["name"]
        state = _container_state(pod)
        if name in self._finished or not state:
            return
        newest = self._newest.get(name, "")
        for line in self._cluster.log(name, _seconds_since(newest)):
            time, _, text = line.partition(" ")
            if time > newest:  # the server writes all nine digits, so that text order is time order
                self._newest[name] = newest = time
                self._write(without_tag(text))
        if "terminated" in state:  # before its log was read to the end: nothing can come after it
            self._finished.add(name)


def without_tag(line: str) -> str:
    """Turns mpirun's `[1,0]<stderr>:` into nothing for rank 0, and into `rank N: ` for others."""
    tag = _TAG.match(line)
    if tag is None:
        return line
    text = line[tag.end() :]
    return text if tag[1] == "0" else f"rank {tag[1]}: {text}"


def _container_state(pod: Json) -> Json:
    """{"running": ...} or {"terminated": ...}; empty if the container has not been started."""
    for container in pod.get("status", {}).get("containerStatuses") or ():
        state: Json = container.get("state", {})
        if "running" in state or "terminated" in state:
            return state
    return {}


def _seconds_since(time: str) -> int | None:
    """How far to look back for lines after `time`, RFC 3339; None for all lines if it is empty."""
    if not time:
        return None
    then = datetime.datetime.fromisoformat(f"{time[:19]}+00:00")
    now = datetime.datetime.now(datetime.UTC)
    return max(1, int((now - then).total_seconds()) + _CLOCK_SKEW_SECONDS)
