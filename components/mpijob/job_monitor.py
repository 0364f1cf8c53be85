"""Decides whether a training job has ended, cannot run, or needs more time."""

import dataclasses
import logging
import time
from collections.abc import Iterator
from typing import NoReturn

from components.mpijob import diagnosis
from components.mpijob.api_errors import UnreachableError
from components.mpijob.cluster import Cluster
from components.mpijob.create import condition
from components.mpijob.diagnosis import JobProblem, Kind
from components.mpijob.failure import failure
from components.mpijob.job import TrainingJob
from components.mpijob.manifest import Manifest
from components.mpijob.timeouts import Timeouts
from components.mpijob.watched import Watched
from frcnn.errors import RunError

log = logging.getLogger(__name__)


class FailedTrainingError(RunError):
    """The training itself failed. Its job is kept for inspection if all its pods have ended."""


class NoRoomError(RunError):
    """The cluster had no room for all workers within the time limit.

    Attributes:
        fitting: Number of workers that ran.
    """

    def __init__(self, message: str, fitting: int) -> None:
        """Creates the error.

        Args:
            message: Message for the user.
            fitting: Number of workers that ran.
        """
        super().__init__(message)
        self.fitting = fitting


@dataclasses.dataclass(frozen=True)
class Watches:
    """Pods and Events of a job, as watches report them."""

    pods: Watched
    events: Watched


class JobMonitor:
    """Decides after each change or pause whether a job has ended, cannot run, or needs more time.

    Attributes:
        ended: Whether the job has succeeded or failed.
    """

    def __init__(self, cluster: Cluster, job: TrainingJob, patience: Timeouts, watches: Watches) -> None:
        """Starts the clocks of a job that was just created or joined.

        Args:
            cluster: Namespace of the job.
            job: Training job.
            patience: Time limits of problems.
            watches: Watches of the job's pods and Events.
        """
        self._cluster, self._job, self._patience, self._watches = cluster, job, patience, watches
        self._since = time.monotonic()  # time of creation, joining, or the last suspension seen
        self._running_since: float | None = None
        self._next_check = 0.0
        self._seen: dict[tuple[Kind, str], float] = {}
        self._logged: set[str] = set()
        self._warned: set[tuple[Kind, str]] = set()
        self.ended = False

    def quiet_seconds(self) -> int:
        """Returns the longest time a watch may stay quiet before the next check, whole seconds >= 1."""
        return max(1, round(self._interval()))

    def _interval(self) -> float:
        return self._patience.interval * (1 if self._running_since is None else 6)

    def has_succeeded(self, current: Manifest) -> bool:
        """Checks whether the job has succeeded.

        Args:
            current: MPIJob as the API server returned it last.

        Returns:
            `True` if the job has succeeded, `False` if it needs more time.

        Raises:
            RunError: The job failed, or cannot make progress; see `run_job`.
        """
        self._log_conditions(current)
        if condition(current, "Succeeded"):
            self.ended = True
            return True
        if failed := condition(current, "Failed"):
            self.ended = True
            raise FailedTrainingError(f"mpijob/{self._job.name} failed: {self._reason(failed)}")
        now = time.monotonic()
        self._update_times(current, now)
        if now >= self._next_check:
            self._next_check = now + self._interval()
            try:
                self._check(current, now)
            except UnreachableError as error:
                log.warning("%s; trying again", error)
        self._check_deadlines(now)
        return False

    def _reason(self, failed: Manifest) -> str:
        try:
            return failure(failed, self._cluster.pods(self._job.name))
        except UnreachableError:
            return failure(failed, [])

    def _log_conditions(self, current: Manifest) -> None:
        for kind in ("Created", "Suspended", "Running", "Restarting", "Succeeded"):
            entry = condition(current, kind)
            text = f"{kind}: {entry.get('message', '')}" if entry else ""
            if entry and text not in self._logged:
                self._logged.add(text)
                log.info("mpijob/%s %s", self._job.name, text)

    def _update_times(self, current: Manifest, now: float) -> None:
        if condition(current, "Suspended"):
            self._since = now
        if condition(current, "Running"):
            self._running_since = self._running_since or now
        else:
            self._running_since = None

    def _check(self, current: Manifest, now: float) -> None:
        faults = list(self._faults(current))
        if not faults and not current.get("status", {}).get("conditions"):
            faults = self._unprocessed(now)
        seen = {(fault.kind, fault.object): fault for fault in faults}
        self._seen = {key: self._seen.get(key, now) for key in seen}
        for key, fault in seen.items():
            if now - self._seen[key] >= self._patience.of(fault.kind):
                self._give_up(fault)
            if fault.topic not in self._warned:
                self._warned.add(fault.topic)
                log.warning("%s (waiting up to %.0f s)", fault, self._patience.of(fault.kind))

    def _give_up(self, fault: JobProblem) -> NoReturn:
        message = f"mpijob/{self._job.name} cannot run: {fault}"
        if not fault.no_room:
            raise RunError(message)
        pods = self._cluster.pods(self._job.name, "worker")
        raise NoRoomError(message, sum(pod.get("status", {}).get("phase") == "Running" for pod in pods))

    def _faults(self, current: Manifest) -> Iterator[JobProblem]:
        pods = self._watches.pods.items()
        events = [each for each in self._watches.events.items() if diagnosis.of_this_job(each, current)]
        return diagnosis.faults(pods, events, workers=self._job.workers)

    def _unprocessed(self, now: float) -> list[JobProblem]:
        """Returns a problem if the operator has not processed the job in time."""
        name = self._job.name
        if now - self._since < self._patience.operator:
            return []
        fresh = self._cluster.get(name)  # an interrupted watch may lag behind
        if fresh is None or fresh.get("status", {}).get("conditions"):
            return []
        reason = f"mpi-operator has not processed the job for {self._patience.operator:.0f} s"
        remedy = "Check that it runs and watches this namespace: kubectl get pods -A | grep mpi-operator"
        return [JobProblem(Kind.FINAL, f"mpijob/{name}", reason, remedy)]

    def _check_deadlines(self, now: float) -> None:
        name, limit = self._job.name, self._job.deadline_seconds
        if self._running_since is None and now - self._since > self._patience.start:
            pods = self._cluster.pods(name)
            phases = sorted(f"{pod['metadata']['name']} {pod['status'].get('phase')}" for pod in pods)
            raise RunError(
                f"mpijob/{name} has not started in {self._patience.start:.0f} s: "
                f"{', '.join(phases[:4]) or 'it has no pods'}. For details run: kubectl describe mpijob,pods "
                f"-n {self._cluster.namespace} -l training.kubeflow.org/job-name={name}"
            )
        # The cluster should end the launcher at the limit; a minute later it has failed to do so.
        if limit is not None and self._running_since is not None and now - self._running_since > limit + 60:
            raise RunError(f"mpijob/{name} exceeded its deadline of {limit} s. Raise --deadline.")
