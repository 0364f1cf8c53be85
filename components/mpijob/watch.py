"""Watches an MPIJob across closed, broken and expired watches."""

import logging
import time
from collections.abc import Callable, Iterator

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from components.mpijob.api_errors import ExpiredWatchError, UnreachableError
from components.mpijob.cluster import Cluster
from components.mpijob.manifest import Manifest
from frcnn.errors import RunError

log = logging.getLogger(__name__)

_NO_ACCESS = (401, 403)


def changes(
    cluster: Cluster, job: Manifest, *, quiet: Callable[[], int], unreachable: float
) -> Iterator[Manifest]:
    """Watches an MPIJob across closed, broken and expired watches.

    Args:
        cluster: Namespace of the job.
        job: Current MPIJob.
        quiet: Function that returns the idle seconds after which the job is yielded again, unchanged.
        unreachable: Seconds of continuous request failures to tolerate.

    Yields:
        The MPIJob as last seen: at the start, after each change, and after idle time.

    Raises:
        UnreachableError: Requests failed for that long.
        RunError: The job was deleted, or access was denied.
    """
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    version: str | None = job["metadata"]["resourceVersion"]
    failing_since: float | None = None
    while True:
        yield job
        began = time.monotonic()
        try:
            if version is None:
                job = _alive(name, uid, cluster.get(name))
                version = job["metadata"]["resourceVersion"]
                yield job
            for kind, seen in cluster.watch(name, version, quiet()):
                version, failing_since = seen["metadata"]["resourceVersion"], None
                if kind != "BOOKMARK":
                    job = _alive(name, uid, None if kind == "DELETED" else seen)
                    yield job
            failing_since = None
        except ExpiredWatchError:
            version = None
        except (ApiException, HTTPError, OSError, UnreachableError) as error:
            failing_since = failing_since or began
            _handle_failure(error, name, time.monotonic() - failing_since, unreachable)
        # Limit the request rate if watches end immediately.
        if time.monotonic() - began < 0.2:
            time.sleep(0.2 if failing_since is None else 1.0)


def _alive(name: str, uid: str, job: Manifest | None) -> Manifest:
    if job is None or job["metadata"]["uid"] != uid:
        raise RunError(f"mpijob/{name} was deleted by someone else. Start the step again.")
    return job


def _handle_failure(error: Exception, name: str, seconds: float, limit: float) -> None:
    if isinstance(error, ApiException) and error.status in _NO_ACCESS:
        raise RunError(
            f"mpijob/{name}: no permission to watch it any longer ({error.status} {error.reason}). "
            "The service account needs the verb watch on mpijobs.kubeflow.org."
        ) from error
    text = f"{error.status} {error.reason}" if isinstance(error, ApiException) else str(error)
    if seconds >= limit:
        raise UnreachableError(
            f"mpijob/{name}: the Kubernetes API has not responded for {seconds:.0f} s ({text}). The job may "
            "still be running. Start the step again to join it."
        ) from error
    log.warning("Watch of mpijob/%s failed: %s; retrying", name, text)
