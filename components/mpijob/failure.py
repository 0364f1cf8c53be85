"""Explains from its pods why a job failed after it had started. Pure functions."""

from collections.abc import Iterable, Iterator

from components.mpijob.diagnosis import LOST, Json, one_line


def failure(condition: Json, pods: Iterable[Json]) -> str:
    """Explains why a job failed after it had started.

    Args:
        condition: Failed condition of the job.
        pods: Pods of the job.

    Returns:
        One line with the condition and at most three ends of pods, the most informative first.
    """
    # mpi-operator appends reason and message of the launcher pod, which are often empty.
    reason = str(condition.get("reason", "Failed")).strip("/")
    said = f"{reason}: {one_line(condition.get('message', '')).rstrip(': ')}".rstrip(": ")
    ends = [each for pod in pods for each in _ends(pod)]
    # Out of memory or eviction of a worker explains the launcher's exit code, so these come first.
    ends.sort(key=lambda each: not each[1])
    return "; ".join([said, *(text for text, _ in ends[:3])])


def _ends(pod: Json) -> Iterator[tuple[str, bool]]:
    """Yields how containers of a pod failed, and whether that explains other pods' failures."""
    place, status = f"pod/{pod['metadata']['name']}", pod.get("status", {})
    if status.get("reason") in LOST:
        yield f"{place} {status['reason']}: {one_line(status.get('message', ''))}", True
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
