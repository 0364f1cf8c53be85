"""Why a job does not come up, or failed: from its pods and Events, one line with a remedy. Pure functions.

The shapes are those of the Kubernetes API as JSON (camelCase).
"""

import dataclasses
import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from components.mpijob.manifest import ROLE_LABEL

Json = Mapping[str, Any]


class Kind(enum.Enum):
    """How long a fault may last before the job is given up: see `follow.Patience`."""

    FINAL = "will not go away by itself"
    IMAGE = "the kubelet tries again"
    ENDED = "the kubelet may start it again"
    SCHEDULING = "other jobs may end, or an autoscaler add nodes"
    QUOTA = "other jobs may end, and quota be free"
    NO_NODES = "no autoscaler will add nodes"


@dataclasses.dataclass(frozen=True)
class Fault:
    """What keeps a job from running: `object` such as `pod/x`, what it is, and what to do."""

    kind: Kind
    object: str
    reason: str
    remedy: str

    @property
    def topic(self) -> tuple[Kind, str]:
        """What several pods may have in common: one warning is enough for all."""
        return self.kind, self.remedy

    @property
    def no_room(self) -> bool:
        """Whether fewer workers might run."""
        return self.kind in (Kind.SCHEDULING, Kind.QUOTA, Kind.NO_NODES)

    def __str__(self) -> str:
        """One line."""
        return f"{self.object}: {self.reason}. {self.remedy}"


_CHECK_IMAGE = "Check the image's name and tag, and that the nodes may pull it (imagePullSecrets)"
# What a container waits for: reason -> kind, remedy.
_WAITING = {
    "ErrImagePull": (Kind.IMAGE, _CHECK_IMAGE),
    "ImagePullBackOff": (Kind.IMAGE, _CHECK_IMAGE),
    "InvalidImageName": (Kind.FINAL, "Correct the image's name"),
    "ErrImageNeverPull": (Kind.FINAL, "Load the image onto the nodes, or set imagePullPolicy IfNotPresent"),
    "CreateContainerConfigError": (Kind.IMAGE, "Create the secret or key that the message names"),
    "CreateContainerError": (Kind.IMAGE, "Correct what the message names; `kubectl describe` says more"),
    "RunContainerError": (Kind.IMAGE, "Check that the image holds the command it is started with"),
    "CrashLoopBackOff": (Kind.IMAGE, "Read the container's log: `kubectl logs --previous`"),
}
# Messages of Events, and of refused requests: pattern -> kind, remedy.
_MESSAGES = (
    (
        r"exceeded quota",
        Kind.QUOTA,
        "Ask for less, wait for other jobs to end, or have the namespace's ResourceQuota raised",
    ),
    (
        r"serviceaccount \S+ not found",
        Kind.FINAL,
        "Name an existing service account; the chart frcnn-pipelines makes frcnn-training",
    ),
    (
        r"no PriorityClass with name",
        Kind.FINAL,
        "Name an existing priority class: `kubectl get priorityclasses`",
    ),
    (r"violates PodSecurity", Kind.FINAL, "Relax the namespace's PodSecurity level, or the pod's settings"),
    (r"must be less than or equal to .* limit", Kind.FINAL, "Correct the resources asked for"),
    (r"maximum .* usage per ", Kind.FINAL, "Ask for less: the namespace's LimitRange forbids it"),
)
_LOST = ("Evicted", "Preempting", "NodeLost", "Terminated", "NodeShutdown", "Shutdown")
_FAILED_CREATE = ("FailedCreate", "MPIJobFailed")  # of the batch Job, of mpi-operator
_FAILED_MOUNT = ("FailedMount", "FailedAttachVolume")


def faults(pods: Iterable[Json], events: Iterable[Json], *, workers: int) -> Iterator[Fault]:
    """All that keeps the pods of a job with `workers` workers from running.

    Events outlive what they tell of: one that says a pod could not be made counts while pods are missing.
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
    hopeless = {_involved(each)[1] for each in events if each.get("reason") == "NotTriggerScaleUp"}
    for pod in pods:
        yield from _pod_faults(pod, hopeless)


def of_this_job(event: Json, job: Json) -> bool:
    """Whether an Event is not left over from an earlier job of the same name."""
    involved, metadata = event.get("involvedObject", {}), job["metadata"]
    if involved.get("kind") == "MPIJob" and involved.get("uid"):
        return bool(involved["uid"] == metadata["uid"])
    time = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or "9"
    # To the second, as both are written; pods and the launcher's Job are younger than their MPIJob.
    return bool(time[:19] >= metadata.get("creationTimestamp", "")[:19])


def _missing_roles(pods: list[Json], workers: int) -> set[str]:
    """The kinds of object whose pods are not all there: mpijob makes workers, its Job the launcher."""
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


def _refused_by_operator(event: Json) -> Fault:
    reason = f"mpi-operator refuses it: {_one_line(event.get('message', ''))}"
    return Fault(Kind.FINAL, "/".join(_involved(event)), reason, "Correct the job's settings")


def _not_created(event: Json) -> Fault:
    message = _one_line(event.get("message", ""))
    kind, remedy = of_message(message) or (Kind.IMAGE, "Correct what the message names")
    return Fault(kind, "/".join(_involved(event)), f"a pod could not be created: {message}", remedy)


def _not_mounted(event: Json) -> Fault:
    reason = f"{event['reason']}: {_one_line(event.get('message', ''))}"
    return Fault(Kind.IMAGE, "/".join(_involved(event)), reason, "Create the volume or secret it names")


def of_message(message: str) -> tuple[Kind, str] | None:
    """What a refused request means, and what to do; None if the message is not known."""
    for pattern, kind, remedy in _MESSAGES:
        if re.search(pattern, message):
            return kind, remedy
    return None


def _pod_faults(pod: Json, hopeless: set[str]) -> Iterator[Fault]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    place = f"pod/{name}"
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            message = _one_line(condition.get("message", ""))
            yield _claim_fault(place, message) or Fault(
                Kind.NO_NODES if name in hopeless else Kind.SCHEDULING,
                place,
                f"no node can take it: {message}",
                _scheduling_remedy(message, pod),
            )
    for container in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in _WAITING:
            kind, remedy = _WAITING[waiting["reason"]]
            text = _one_line(waiting.get("message", ""))
            image = container.get("image", "")
            before = (
                _end_of(container.get("lastState", {})) if waiting["reason"] == "CrashLoopBackOff" else None
            )
            if before is not None:
                yield Fault(Kind.ENDED, place, f"ends again and again: {before[0]}", before[1])
            else:
                yield Fault(kind, place, f"{waiting['reason']} of image {image}: {text}", remedy)
    if pod["metadata"].get("labels", {}).get(ROLE_LABEL) == "worker":
        yield from _worker_ends(pod, place)


def _worker_ends(pod: Json, place: str) -> Iterator[Fault]:
    """Workers wait for processes to start; one that has ended will not be there for them."""
    status = pod.get("status", {})
    if status.get("reason") in _LOST:
        text = f"{status['reason']}: {_one_line(status.get('message', ''))}"
        yield Fault(Kind.ENDED, place, text, _evicted_remedy(text))
        return
    for container in status.get("containerStatuses") or ():
        end = _end_of(container.get("state", {}))
        if end is not None:
            yield Fault(Kind.ENDED, place, f"ended before the training did: {end[0]}", end[1])


def _end_of(state: Json) -> tuple[str, str] | None:
    """How a container ended, and what to do; None if it has not."""
    ended = state.get("terminated")
    if not ended:
        return None
    reason, code = ended.get("reason") or "Error", ended.get("exitCode")
    text = f"{reason}, exit code {code}"
    if message := _one_line(ended.get("message", "")):
        text += f": {message}"
    if reason == "OOMKilled":
        return text, "Raise its memory (--memory), or lower the batch size"
    if reason in ("StartError", "ContainerCannotRun"):
        return text, "Check that the image holds the command it is started with, such as /usr/sbin/sshd"
    return text, "Read the container's log: `kubectl logs --previous`"


def _evicted_remedy(text: str) -> str:
    for resource in ("memory", "ephemeral-storage"):
        if resource in text:
            return (
                f"The node ran out of {resource}: ask for more of it, so that the pod gets a node that has it"
            )
    return "See what happened to its node: kubectl describe node"


def _claim_fault(place: str, message: str) -> Fault | None:
    """The fault of a volume claim that keeps a pod from being scheduled; None if it is something else."""
    missing = re.search(r'persistentvolumeclaim "([^"]+)" (?:not found|is being deleted)', message)
    if missing:
        return Fault(
            Kind.IMAGE,
            place,
            f"no node can take it: {message}",
            f"Create the claim {missing[1]} in this namespace, or correct --volume",
        )
    if "unbound immediate PersistentVolumeClaims" in message:
        return Fault(
            Kind.SCHEDULING,
            place,
            f"no node can take it: {message}",
            "Its claim has no volume yet: see `kubectl describe pvc`, and the claim's storage class",
        )
    return None


def _scheduling_remedy(message: str, pod: Json) -> str:
    short = re.findall(r"Insufficient ([\w./-]+)", message)
    if short:
        asked = [f"{name} {_asked(pod, name)}" for name in sorted({each.rstrip(".") for each in short})]
        return f"Each such pod asks for {', '.join(asked)}: ask for less, or add nodes that have it free"
    if "taint" in message:
        return "Tolerate the nodes' taint, or use other nodes"
    if "affinity/selector" in message:
        return "Correct the node selector: no node has these labels"
    return "Compare what the pod asks for with `kubectl describe nodes`"


def _asked(pod: Json, resource: str) -> str:
    amounts = [
        container.get("resources", {}).get("requests", {}).get(resource)
        for container in pod.get("spec", {}).get("containers", [])
    ]
    return "+".join(str(each) for each in amounts if each is not None) or "?"


def failure(condition: Json, pods: Iterable[Json]) -> str:
    """Why a job that ran has failed: its own condition, and how its pods ended."""
    # mpi-operator appends the launcher pod's reason and message, which are often empty.
    reason = str(condition.get("reason", "Failed")).strip("/")
    said = f"{reason}: {_one_line(condition.get('message', '')).rstrip(': ')}".rstrip(": ")
    ends = [each for pod in pods for each in _ends(pod)]
    # Memory, eviction: what a worker died of explains the launcher's exit code, not the other way round.
    ends.sort(key=lambda each: not each[1])
    return "; ".join([said, *(text for text, _ in ends[:3])])


def _ends(pod: Json) -> Iterator[tuple[str, bool]]:
    """How a pod ended badly, and whether that explains others' ends."""
    place, status = f"pod/{pod['metadata']['name']}", pod.get("status", {})
    if status.get("reason") in _LOST:
        yield f"{place} {status['reason']}: {_one_line(status.get('message', ''))}", True
    for container in status.get("containerStatuses") or ():
        ended = container.get("state", {}).get("terminated") or {}
        if not ended or ended.get("exitCode") == 0:
            continue
        if ended.get("reason") == "OOMKilled":
            yield f"{place} ran out of memory (OOMKilled): raise its memory or lower the batch size", True
        else:
            yield (
                f"{place} ended with exit code {ended.get('exitCode')} ({ended.get('reason', 'Error')})",
                False,
            )


def _one_line(text: str) -> str:
    return " ".join(str(text).split()).rstrip(".")[:600]
