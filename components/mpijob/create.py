"""An MPIJob is created, or the one that an earlier attempt of the same step made is joined."""

import logging
import time

from components.mpijob.api import Cluster, RefusedError, UnreachableError
from components.mpijob.manifest import SETTINGS_ANNOTATION, Manifest
from frcnn.errors import RunError

log = logging.getLogger(__name__)


def create_or_join(cluster: Cluster, manifest: Manifest, *, seconds: float = 60) -> Manifest:
    """The job as the cluster holds it: new, or the same one from before.

    One that is being deleted is waited for, for `seconds`; one that failed is replaced.

    Raises:
        RefusedError: The cluster does not take it, or there is one of that name with other settings.
        UnreachableError: The API does not answer.
        RunError: An earlier one does not go away.
    """
    name = manifest["metadata"]["name"]
    trouble: UnreachableError | None = None
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            created = cluster.create(manifest)
            if created is not None:
                log.info("mpijob/%s created in namespace %s", name, cluster.namespace)
                return created
            existing = cluster.get(name)
            if existing is not None and _make_way_or_join(cluster, existing, manifest):
                log.info("mpijob/%s is there already, joined", name)
                return existing
            trouble = None
        except UnreachableError as error:
            log.warning("%s; trying again", error)
            trouble = error
        time.sleep(min(1.0, seconds / 20))
    raise trouble or RunError(
        f"mpijob/{name}: an earlier one is still being deleted after {seconds:.0f} s. "
        f"See what holds it: kubectl -n {cluster.namespace} get mpijob {name} -o yaml (finalizers)"
    )


def _make_way_or_join(cluster: Cluster, existing: Manifest, manifest: Manifest) -> bool:
    """Whether the step may follow `existing`; if not, it is on its way out."""
    metadata = existing["metadata"]
    name = metadata["name"]
    if metadata.get("deletionTimestamp"):
        return False
    if not is_same(existing, manifest):
        raise RefusedError(
            f"mpijob/{name} exists in namespace {cluster.namespace} with other settings. "
            f"Choose another name, or: kubectl -n {cluster.namespace} delete mpijob {name}"
        )
    if condition(existing, "Failed"):
        log.info("mpijob/%s failed before; it is replaced", name)
        cluster.delete(name)
        return False
    return _own(cluster, existing, manifest["metadata"].get("ownerReferences", []))


def is_same(existing: Manifest, manifest: Manifest) -> bool:
    """Whether a job was made with the settings of `manifest`, by this attempt or an earlier one."""
    settings = existing["metadata"].get("annotations", {}).get(SETTINGS_ANNOTATION)
    return bool(settings == manifest["metadata"]["annotations"][SETTINGS_ANNOTATION])


def _own(cluster: Cluster, existing: Manifest, owners: list[Manifest]) -> bool:
    """Adds this step's pod to the owners: else the job would go when the earlier attempt's pod does."""
    metadata = existing["metadata"]
    before = metadata.get("ownerReferences", [])
    known = {each["uid"] for each in before}
    new = [each for each in owners if each["uid"] not in known]
    if not new:
        return True
    return cluster.set_owners(metadata["name"], before + new, metadata["resourceVersion"])


def condition(job: Manifest, kind: str) -> Manifest | None:
    """The job's condition of that type if it holds."""
    conditions: list[Manifest] = job.get("status", {}).get("conditions") or []
    for each in conditions:
        if each.get("type") == kind and each.get("status") == "True":
            return each
    return None
