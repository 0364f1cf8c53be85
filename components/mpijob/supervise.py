"""Runs a training job to its end: created or joined, watched, its log copied, cleaned up if it must go."""

import dataclasses
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from components.mpijob import diagnosis
from components.mpijob.api import Cluster, UnreachableError
from components.mpijob.create import condition, create_or_join, is_same
from components.mpijob.diagnosis import Fault, Kind
from components.mpijob.job import TrainingJob
from components.mpijob.launcher_log import LauncherLog
from components.mpijob.manifest import Manifest, manifest
from components.mpijob.validate import problems
from components.mpijob.watch import changes
from frcnn.console.signals import terminate_as_interrupt
from frcnn.errors import RunError, SpecError

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Patience:
    """How many seconds a trouble may last before the job is given up.

    Each is logged when it is first seen, that is within `look` seconds.

    Attributes:
        image: An image that cannot be pulled, a missing secret: the kubelet tries again.
        scheduling: No node can take a pod: other jobs may end, an autoscaler may add nodes. An
            autoscaler that says it will not (Event NotTriggerScaleUp) ends the wait at once.
        quota: The namespace's quota is used up: other jobs may end.
        operator: mpi-operator takes no notice of the job.
        start: From creation to Running, whatever the reason; time in which the job is suspended
            (queued) does not count.
        unreachable: The API does not answer.
        look: Between looks at pods and Events while the job is not running; while it runs, 6 times that.
    """

    image: float = 45
    scheduling: float = 600
    quota: float = 600
    operator: float = 60
    start: float = 1800
    unreachable: float = 300
    look: float = 5

    def of(self, kind: Kind) -> float:
        """How long a fault of that kind may last."""
        return {Kind.IMAGE: self.image, Kind.SCHEDULING: self.scheduling, Kind.QUOTA: self.quota}.get(kind, 0)


class FailedTrainingError(RunError):
    """The training itself failed. Its job stays for a while, to be looked at."""


class NoRoomError(RunError):
    """The cluster had no room for all of the workers, for as long as that was waited for.

    Attributes:
        fitting: How many of them ran.
    """

    def __init__(self, message: str, fitting: int) -> None:
        """See the attributes."""
        super().__init__(message)
        self.fitting = fitting


def run_job(
    cluster: Cluster,
    job: TrainingJob,
    *,
    patience: Patience = Patience(),
    write: Callable[[str], None] | None = None,
) -> None:
    """Comes back when the training has succeeded.

    Each line of the launcher's log goes to `write`, stdout if None. A job that is given up, or whose
    step is told to stop (SIGTERM, Ctrl-C), is deleted. A step that is killed outright leaves it running;
    started again, it joins.

    Raises:
        SpecError: mpi-operator would not run this job; nothing was created.
        RefusedError: The cluster does not take it.
        FailedTrainingError: It ran, and failed.
        NoRoomError: Nodes or quota do not suffice for all workers.
        UnreachableError: The API does not answer; the job is left as it is.
        RunError: It did not start in time, or was deleted by others.
    """
    document = manifest(job)
    if found := list(problems(document)):
        raise SpecError(f"mpijob/{job.name}", found)
    with terminate_as_interrupt():
        try:
            started = create_or_join(cluster, document)
            _follow(cluster, job, started, patience, write or _to_stdout)
        except FailedTrainingError:
            raise
        except UnreachableError:
            raise  # started again, the step joins the job
        except (Exception, KeyboardInterrupt):
            _clean_up(cluster, document)
            raise


def _to_stdout(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _clean_up(cluster: Cluster, document: Manifest) -> None:
    """Deletes the job if it is this one: a name that was refused may be another's."""
    name = document["metadata"]["name"]
    try:
        existing = cluster.get(name)
        if existing is not None and is_same(existing, document):
            cluster.delete(name)
            log.info("mpijob/%s deleted, and with it its pods", name)
    except RunError as trouble:  # the first error is the one to tell
        log.warning("mpijob/%s may be left behind: %s", name, trouble)


def _follow(
    cluster: Cluster, job: TrainingJob, started: Manifest, patience: Patience, write: Callable[[str], None]
) -> None:
    copy = LauncherLog(cluster, job.name, write, pause=min(1.0, patience.look))
    copy.start()
    judge = _Judge(cluster, job, patience)
    try:
        for current in changes(cluster, started, quiet=judge.quiet_seconds, unreachable=patience.unreachable):
            if judge.has_succeeded(current):
                return
    finally:
        # After Ctrl-C too: the lines before it are what people look for.
        copy.finish(20 if judge.ended else 1)


class _Judge:
    """Decides, each time a job changed or time went by, whether it is done, doomed, or to be waited for."""

    def __init__(self, cluster: Cluster, job: TrainingJob, patience: Patience) -> None:
        self._cluster, self._job, self._patience = cluster, job, patience
        self._since = time.monotonic()  # when it was created, joined, or last seen suspended
        self._running_since: float | None = None
        self._next_look = 0.0
        self._seen: dict[tuple[Kind, str], float] = {}
        self._told: set[str] = set()
        self.ended = False

    def quiet_seconds(self) -> int:
        """How long a watch may stay quiet before time is looked at again; whole seconds, 1 or more."""
        return max(1, round(self._look_seconds()))

    def _look_seconds(self) -> float:
        return self._patience.look * (1 if self._running_since is None else 6)

    def has_succeeded(self, current: Manifest) -> bool:
        """True at the end; raises what `run_job` promises if it is a bad one."""
        self._tell(current)
        if condition(current, "Succeeded"):
            self.ended = True
            return True
        if failed := condition(current, "Failed"):
            self.ended = True
            raise FailedTrainingError(f"mpijob/{self._job.name} failed: {self._why(failed)}")
        now = time.monotonic()
        self._note_time(current, now)
        if now >= self._next_look:
            self._next_look = now + self._look_seconds()
            try:
                self._look(current, now)
            except UnreachableError as error:
                log.warning("%s; trying again", error)
        self._check_deadlines(now)
        return False

    def _why(self, failed: Manifest) -> str:
        try:
            return diagnosis.failure(failed, self._cluster.pods(self._job.name))
        except UnreachableError:
            return diagnosis.failure(failed, [])

    def _tell(self, current: Manifest) -> None:
        for kind in ("Created", "Suspended", "Running", "Restarting", "Succeeded"):
            entry = condition(current, kind)
            text = f"{kind}: {entry.get('message', '')}" if entry else ""
            if entry and text not in self._told:
                self._told.add(text)
                log.info("mpijob/%s %s", self._job.name, text)

    def _note_time(self, current: Manifest, now: float) -> None:
        if condition(current, "Suspended"):
            self._since = now
        if condition(current, "Running"):
            self._running_since = self._running_since or now
        else:
            self._running_since = None

    def _look(self, current: Manifest, now: float) -> None:
        faults = list(self._faults(current))
        if not faults and not current.get("status", {}).get("conditions"):
            faults = self._unnoticed(now)
        seen = {(fault.kind, fault.object): fault for fault in faults}
        self._seen = {key: self._seen.get(key, now) for key in seen}
        for key, fault in seen.items():
            if now - self._seen[key] >= self._patience.of(fault.kind):
                self._give_up(fault)
            if str(fault) not in self._told:
                self._told.add(str(fault))
                log.warning("%s (waiting %.0f s for it)", fault, self._patience.of(fault.kind))

    def _give_up(self, fault: Fault) -> NoReturn:
        message = f"mpijob/{self._job.name} cannot run: {fault}"
        if not fault.no_room:
            raise RunError(message)
        pods = self._cluster.pods(self._job.name, "worker")
        raise NoRoomError(message, sum(pod.get("status", {}).get("phase") == "Running" for pod in pods))

    def _faults(self, current: Manifest) -> Iterator[Fault]:
        name = self._job.name
        pods = self._cluster.pods(name)
        # A few pods speak for all: with 64 of them pending, 64 requests would tell the same.
        pending = [pod["metadata"]["name"] for pod in pods if pod.get("status", {}).get("phase") == "Pending"]
        events = [
            each for of in (name, f"{name}-launcher", *pending[:3]) for each in self._cluster.events(of)
        ]
        events = [each for each in events if diagnosis.of_this_job(each, current)]
        return diagnosis.faults(pods, events, workers=self._job.workers)

    def _unnoticed(self, now: float) -> list[Fault]:
        """The fault that the operator does nothing, once it had the time to."""
        name = self._job.name
        if now - self._since < self._patience.operator:
            return []
        fresh = self._cluster.get(name)  # a watch that was cut off may not have told yet
        if fresh is None or fresh.get("status", {}).get("conditions"):
            return []
        reason = f"mpi-operator has taken no notice of it for {self._patience.operator:.0f} s"
        remedy = "See whether it runs, and watches this namespace: kubectl get pods -A | grep mpi-operator"
        return [Fault(Kind.FINAL, f"mpijob/{name}", reason, remedy)]

    def _check_deadlines(self, now: float) -> None:
        name, limit = self._job.name, self._job.deadline_seconds
        if self._running_since is None and now - self._since > self._patience.start:
            pods = self._cluster.pods(name)
            phases = sorted(f"{pod['metadata']['name']} {pod['status'].get('phase')}" for pod in pods)
            raise RunError(
                f"mpijob/{name} has not started in {self._patience.start:.0f} s: "
                f"{', '.join(phases[:4]) or 'it has no pods'}. Look at: kubectl describe mpijob,pods "
                f"-n {self._cluster.namespace} -l training.kubeflow.org/job-name={name}"
            )
        # The cluster itself ends the launcher then; a minute later it evidently has not.
        if limit is not None and self._running_since is not None and now - self._running_since > limit + 60:
            raise RunError(f"mpijob/{name} runs longer than the {limit} s it was given. Give it more time")
