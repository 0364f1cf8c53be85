"""Copies the launcher's log line by line, across dropped connections and launcher restarts."""

import datetime
import logging
import re
import threading
from collections.abc import Callable

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from components.mpijob.cluster import Cluster
from components.mpijob.diagnosis import Json
from components.mpijob.manifest import ROLE_LABEL
from frcnn.errors import RunError

log = logging.getLogger(__name__)

# Clocks of node and client may differ. Lines that are received twice are dropped by their time.
_CLOCK_SKEW_SECONDS = 60
# Source: mpirun's manual page, --tag-output.
_TAG = re.compile(r"\[\d+,(\d+)\]<(?:stdout|stderr|stddiag)>: ?")


class LauncherLog(threading.Thread):
    """Thread that copies the logs of a job's launcher pods in the order in which they started."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        write: Callable[[str], None],
        *,
        pods: Callable[[], list[Json]] | None = None,
        pause: float = 1.0,
    ) -> None:
        """Creates the thread. Sends no request before it is started.

        Args:
            cluster: Namespace of the job.
            name: Name of the job.
            write: Function that receives each line without its line break; called from this thread.
            pods: Function that returns the job's pods as last seen. `None` lists them from the API.
            pause: Seconds between attempts.
        """
        super().__init__(name=f"log of {name}", daemon=True)
        self._cluster, self._job, self._write, self._pause = cluster, name, write, pause
        self._pods = pods or (lambda: cluster.pods(name))
        self._newest: dict[str, str] = {}  # pod -> time of its newest line, as the server writes it
        self._finished: set[str] = set()
        self._finishing = threading.Event()

    def run(self) -> None:
        """Copies lines until `finish` is called."""
        while True:
            last_round = self._finishing.is_set()
            try:
                for pod in self._launchers(last_round):
                    self._copy(pod)
            except (ApiException, HTTPError, OSError, RunError) as error:
                log.debug("Log of the launcher of %s: %s; retrying", self._job, error)
            if last_round:
                return
            self._finishing.wait(self._pause)

    def finish(self, seconds: float) -> None:
        """Copies the remaining lines and ends the thread.

        Args:
            seconds: Time limit.
        """
        self._finishing.set()
        self.join(seconds)

    def _launchers(self, last_round: bool) -> list[Json]:
        # The last round lists the pods, because the watch may not have delivered the newest ones.
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
            if time > newest:  # the server writes nine fractional digits, so text order is time order
                self._newest[name] = newest = time
                self._write(_without_tag(text))
        if "terminated" in state:  # known before the log was read, so the log is complete
            self._finished.add(name)


def _without_tag(line: str) -> str:
    """Replaces the tag that mpirun puts before each line, such as `[1,0]<stderr>: `; keeps ranks above 0."""
    tag = _TAG.match(line)
    if tag is None:
        return line
    text = line[tag.end() :]
    return text if tag[1] == "0" else f"rank {tag[1]}: {text}"


def _container_state(pod: Json) -> Json:
    """Returns {"running": ...} or {"terminated": ...}; empty before the container has started."""
    for container in pod.get("status", {}).get("containerStatuses") or ():
        state: Json = container.get("state", {})
        if "running" in state or "terminated" in state:
            return state
    return {}


def _seconds_since(time: str) -> int | None:
    """Returns the age to request for lines after an RFC 3339 time; `None` for all lines."""
    if not time:
        return None
    then = datetime.datetime.fromisoformat(f"{time[:19]}+00:00")
    now = datetime.datetime.now(datetime.UTC)
    return max(1, int((now - then).total_seconds()) + _CLOCK_SKEW_SECONDS)
