"""Creates an MPIJob, or joins the one that an earlier attempt of the same step created."""

import logging
import time

from components.mpijob.api_errors import RefusedError, UnreachableError
from components.mpijob.cluster import Cluster
from components.mpijob.manifest import SETTINGS_ANNOTATION, Manifest
from frcnn.errors import RunError

log = logging.getLogger(__name__)


def create_or_join(cluster: Cluster, manifest: Manifest, *, seconds: float = 60) -> Manifest:
    """Creates a job, or joins an existing job with the same settings.

    Waits for a job that is being deleted. Replaces a job that failed.

    Args:
        cluster: Namespace of the job.
        manifest: Job to create.
        seconds: Time limit.

    Returns:
        The new or existing job.

    Raises:
        RefusedError: The cluster rejects the job, or a job with this name has other settings.
        UnreachableError: The API is unreachable.
        RunError: An earlier job is still being deleted after `seconds`.
    """
    name, kind = manifest["metadata"]["name"], cluster.resource.kind
    trouble: UnreachableError | None = None
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            created = cluster.create(manifest)
            if created is not None:
                log.info("Created %s/%s in namespace %s", kind, name, cluster.namespace)
                return created
            existing = cluster.get(name)
            if existing is not None and _make_way_or_join(cluster, existing, manifest):
                log.info("Joined existing %s/%s", kind, name)
                return existing
            trouble = None
        except UnreachableError as error:
            log.warning("%s; trying again", error)
            trouble = error
        time.sleep(min(1.0, seconds / 20))
    raise trouble or RunError(
        f"{kind}/{name}: an earlier job of this name is still being deleted after {seconds:.0f} s. "
        f"Check its finalizers: kubectl -n {cluster.namespace} get {kind} {name} -o yaml"
    )


def _make_way_or_join(cluster: Cluster, existing: Manifest, manifest: Manifest) -> bool:
    """Checks whether the step may follow `existing`; otherwise the job is being deleted."""
    metadata = existing["metadata"]
    name, kind = metadata["name"], cluster.resource.kind
    if metadata.get("deletionTimestamp"):
        return False
    if not is_same(existing, manifest):
        raise RefusedError(
            f"{kind}/{name} exists in namespace {cluster.namespace} with other settings. "
            f"Choose another name, or: kubectl -n {cluster.namespace} delete {kind} {name}"
        )
    if condition(existing, "Failed"):
        log.info("Replacing %s/%s, which failed before", kind, name)
        cluster.delete(name)
        return False
    return _own(cluster, existing, manifest["metadata"].get("ownerReferences", []))


def is_same(existing: Manifest, manifest: Manifest) -> bool:
    """Checks whether a job was created with the settings of a manifest.

    Args:
        existing: Job in the cluster.
        manifest: MPIJob of this step.

    Returns:
        `True` if this attempt or an earlier one created the job.
    """
    settings = existing["metadata"].get("annotations", {}).get(SETTINGS_ANNOTATION)
    return bool(settings == manifest["metadata"]["annotations"][SETTINGS_ANNOTATION])


def _own(cluster: Cluster, existing: Manifest, owners: list[Manifest]) -> bool:
    """Adds this step's pod to the owners, so that the job survives the earlier attempt's pod."""
    metadata = existing["metadata"]
    before = metadata.get("ownerReferences", [])
    known = {each["uid"] for each in before}
    new = [each for each in owners if each["uid"] not in known]
    if not new:
        return True
    return cluster.set_owners(metadata["name"], before + new, metadata["resourceVersion"])


def condition(job: Manifest, kind: str) -> Manifest | None:
    """Returns a condition of a job if its status is `True`.

    Args:
        job: MPIJob or Experiment.
        kind: Type of the condition, for example `Running`.

    Returns:
        The condition, or `None`.
    """
    conditions: list[Manifest] = job.get("status", {}).get("conditions") or []
    for each in conditions:
        if each.get("type") == kind and each.get("status") == "True":
            return each
    return None
