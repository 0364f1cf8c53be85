"""Explains from pods and Events why a job does not run. Pure functions.

Each explanation is one line with a remedy. Objects have the JSON form of the Kubernetes API (camelCase).
"""

import dataclasses
import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from components.mpijob.manifest import ROLE_LABEL

Json = Mapping[str, Any]


class Kind(enum.Enum):
    """Kind of problem, which decides how long it may last; see `timeouts.Timeouts`."""

    FINAL = "will not go away by itself"
    IMAGE = "the kubelet tries again"
    ENDED = "the kubelet may start it again"
    SCHEDULING = "other jobs may end, or an autoscaler add nodes"
    QUOTA = "other jobs may end, and quota be free"
    NO_NODES = "no autoscaler will add nodes"


@dataclasses.dataclass(frozen=True)
class JobProblem:
    """Problem that keeps a job from running.

    Attributes:
        kind: Kind of problem.
        object: Kubernetes object, for example `pod/x`.
        reason: Description of the problem.
        remedy: Suggested action.
    """

    kind: Kind
    object: str
    reason: str
    remedy: str

    @property
    def topic(self) -> tuple[Kind, str]:
        """Key that is equal for pods with the same problem, so that it is reported once."""
        return self.kind, self.remedy

    @property
    def no_room(self) -> bool:
        """Returns whether a job with fewer workers might run."""
        return self.kind in (Kind.SCHEDULING, Kind.QUOTA, Kind.NO_NODES)

    def __str__(self) -> str:
        """Returns a one-line description."""
        return f"{self.object}: {self.reason}. {self.remedy}"


_CHECK_IMAGE = "Check the image's name and tag, and that the nodes may pull it (imagePullSecrets)"
# Reasons of waiting containers -> kind, remedy.
_WAITING = {
    "ErrImagePull": (Kind.IMAGE, _CHECK_IMAGE),
    "ImagePullBackOff": (Kind.IMAGE, _CHECK_IMAGE),
    "InvalidImageName": (Kind.FINAL, "Correct the image's name"),
    "ErrImageNeverPull": (Kind.FINAL, "Load the image onto the nodes, or set imagePullPolicy IfNotPresent"),
    "CreateContainerConfigError": (Kind.IMAGE, "Create the secret or key named in the message"),
    "CreateContainerError": (Kind.IMAGE, "Fix the cause named in the message; see `kubectl describe pod`"),
    "RunContainerError": (Kind.IMAGE, "Check that the image contains the container's command"),
    "CrashLoopBackOff": (Kind.IMAGE, "Read the container's log: `kubectl logs --previous`"),
}
# Patterns in messages of Events and of refused requests -> kind, remedy.
_MESSAGES = (
    (
        r"exceeded quota",
        Kind.QUOTA,
        "Request less, wait for other jobs to end, or raise the namespace's ResourceQuota",
    ),
    (
        r"serviceaccount \S+ not found",
        Kind.FINAL,
        "Choose an existing service account; the chart frcnn-pipelines creates frcnn-training",
    ),
    (
        r"no PriorityClass with name",
        Kind.FINAL,
        "Choose an existing priority class: `kubectl get priorityclasses`",
    ),
    (r"violates PodSecurity", Kind.FINAL, "Relax the namespace's PodSecurity level, or the pod's settings"),
    (r"must be less than or equal to .* limit", Kind.FINAL, "Correct the resource requests"),
    (r"maximum .* usage per ", Kind.FINAL, "Request less: the namespace's LimitRange forbids this amount"),
)
LOST = ("Evicted", "Preempting", "NodeLost", "Terminated", "NodeShutdown", "Shutdown")
_FAILED_CREATE = ("FailedCreate", "MPIJobFailed")  # reasons used by the batch Job and by mpi-operator
_FAILED_MOUNT = ("FailedMount", "FailedAttachVolume")


def faults(pods: Iterable[Json], events: Iterable[Json], *, workers: int) -> Iterator[JobProblem]:
    """Finds all problems that keep the pods of a job from running.

    Events outlive their cause. An Event about a pod that could not be created counts only while pods of
    that role are missing.

    Args:
        pods: Pods of the job.
        events: Events about the job and its pods.
        workers: Number of worker pods that the job should have.

    Yields:
        Problems.
    """
    pods, events = list(pods), list(events)
    missing = _missing_roles(pods, workers)
    pending = {pod["metadata"]["name"] for pod in pods if pod.get("status", {}).get("phase") == "Pending"}
    for event in events:
        if event.get("reason") == "ValidationError":
            yield _refused_by_operator(event)
        elif event.get("reason") in _FAILED_CREATE and _involved(event)[0] in missing:
            yield _not_created(event)
        elif event.get("reason") in _FAILED_MOUNT and _involved(event)[1] in pending:
            yield _not_mounted(event)
    unschedulable = {_involved(each)[1] for each in events if each.get("reason") == "NotTriggerScaleUp"}
    for pod in pods:
        yield from _pod_faults(pod, unschedulable)


def of_this_job(event: Json, job: Json) -> bool:
    """Checks whether an Event belongs to this job rather than to an earlier one of the same name.

    Args:
        event: Event.
        job: Current job.

    Returns:
        `True` if the Event refers to the job's UID, or is not older than the job.
    """
    involved, metadata = event.get("involvedObject", {}), job["metadata"]
    if involved.get("kind") == "MPIJob" and involved.get("uid"):
        return bool(involved["uid"] == metadata["uid"])
    time = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or "9"
    # Both times have a resolution of one second. Pods and the launcher's Job are younger than their MPIJob.
    return bool(time[:19] >= metadata.get("creationTimestamp", "")[:19])


def _missing_roles(pods: list[Json], workers: int) -> set[str]:
    """Returns the creators of missing pods: mpijob creates workers, its Job the launcher."""
    roles = [pod["metadata"].get("labels", {}).get(ROLE_LABEL) for pod in pods]
    missing = set()
    if roles.count("worker") < workers:
        missing.add("mpijob")
    if "launcher" not in roles:
        missing.add("job")
    return missing


def _involved(event: Json) -> tuple[str, str]:
    involved = event.get("involvedObject", {})
    return str(involved.get("kind", "object")).lower(), str(involved.get("name"))


def _refused_by_operator(event: Json) -> JobProblem:
    reason = f"mpi-operator rejected the job: {one_line(event.get('message', ''))}"
    return JobProblem(Kind.FINAL, "/".join(_involved(event)), reason, "Correct the job's settings")


def _not_created(event: Json) -> JobProblem:
    message = one_line(event.get("message", ""))
    kind, remedy = of_message(message) or (Kind.IMAGE, "Fix the cause named in the message")
    return JobProblem(kind, "/".join(_involved(event)), f"a pod could not be created: {message}", remedy)


def _not_mounted(event: Json) -> JobProblem:
    reason = f"{event['reason']}: {one_line(event.get('message', ''))}"
    return JobProblem(
        Kind.IMAGE, "/".join(_involved(event)), reason, "Create the volume or secret named in the message"
    )


def of_message(message: str) -> tuple[Kind, str] | None:
    """Explains the message of a refused request.

    Args:
        message: Message of an Event or of the API.

    Returns:
        Tuple of kind and remedy, or `None` if the message is unknown.
    """
    for pattern, kind, remedy in _MESSAGES:
        if re.search(pattern, message):
            return kind, remedy
    return None


def _pod_faults(pod: Json, unschedulable: set[str]) -> Iterator[JobProblem]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    place = f"pod/{name}"
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            message = one_line(condition.get("message", ""))
            yield _claim_fault(place, message) or JobProblem(
                Kind.NO_NODES if name in unschedulable else Kind.SCHEDULING,
                place,
                f"no node can take it: {message}",
                _scheduling_remedy(message, pod),
            )
    for container in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in _WAITING:
            kind, remedy = _WAITING[waiting["reason"]]
            text = one_line(waiting.get("message", ""))
            image = container.get("image", "")
            before = (
                _end_of(container.get("lastState", {})) if waiting["reason"] == "CrashLoopBackOff" else None
            )
            if before is not None:
                yield JobProblem(Kind.ENDED, place, f"ends repeatedly: {before[0]}", before[1])
            else:
                yield JobProblem(kind, place, f"{waiting['reason']} of image {image}: {text}", remedy)
    if pod["metadata"].get("labels", {}).get(ROLE_LABEL) == "worker":
        yield from _worker_ends(pod, place)


def _worker_ends(pod: Json, place: str) -> Iterator[JobProblem]:
    """Yields problems of workers that have ended; a worker must run until the training ends."""
    status = pod.get("status", {})
    if status.get("reason") in LOST:
        text = f"{status['reason']}: {one_line(status.get('message', ''))}"
        yield JobProblem(Kind.ENDED, place, text, _evicted_remedy(text))
        return
    for container in status.get("containerStatuses") or ():
        end = _end_of(container.get("state", {}))
        if end is not None:
            yield JobProblem(Kind.ENDED, place, f"ended before the training did: {end[0]}", end[1])


def _end_of(state: Json) -> tuple[str, str] | None:
    """Returns how a container ended and a remedy, or `None` if it has not ended."""
    ended = state.get("terminated")
    if not ended:
        return None
    reason, code = ended.get("reason") or "Error", ended.get("exitCode")
    text = f"{reason}, exit code {code}"
    if message := one_line(ended.get("message", "")):
        text += f": {message}"
    if reason == "OOMKilled":
        return text, "Raise its memory (--memory), or lower the batch size"
    if reason in ("StartError", "ContainerCannotRun"):
        return text, "Check that the image contains the container's command, for example /usr/sbin/sshd"
    return text, "Read the container's log: `kubectl logs --previous`"


def _evicted_remedy(text: str) -> str:
    for resource in ("memory", "ephemeral-storage"):
        if resource in text:
            return f"The node ran out of {resource}: request more of it to get a node that has enough"
    return "Check the node: kubectl describe node"


def _claim_fault(place: str, message: str) -> JobProblem | None:
    """Returns the volume claim problem that prevents scheduling, or `None` for other causes."""
    missing = re.search(r'persistentvolumeclaim "([^"]+)" (?:not found|is being deleted)', message)
    if missing:
        return JobProblem(
            Kind.IMAGE,
            place,
            f"no node can take it: {message}",
            f"Create the claim {missing[1]} in this namespace, or correct --volume",
        )
    if "unbound immediate PersistentVolumeClaims" in message:
        return JobProblem(
            Kind.SCHEDULING,
            place,
            f"no node can take it: {message}",
            "The volume claim is not bound: check `kubectl describe pvc` and the claim's storage class",
        )
    return None


def _scheduling_remedy(message: str, pod: Json) -> str:
    short = re.findall(r"Insufficient ([\w./-]+)", message)
    if short:
        asked = [f"{name} {_asked(pod, name)}" for name in sorted({each.rstrip(".") for each in short})]
        return f"Each such pod requests {', '.join(asked)}: request less, or add nodes with enough free"
    if "taint" in message:
        return "Add a toleration for the nodes' taint, or use other nodes"
    if "affinity/selector" in message:
        return "Correct the node selector: no node has these labels"
    return "Compare the pod's requests with `kubectl describe nodes`"


def _asked(pod: Json, resource: str) -> str:
    amounts = [
        container.get("resources", {}).get("requests", {}).get(resource)
        for container in pod.get("spec", {}).get("containers", [])
    ]
    return "+".join(str(each) for each in amounts if each is not None) or "?"


def one_line(text: str) -> str:
    """Joins the lines of a message."""
    return " ".join(str(text).split()).rstrip(".")[:600]
