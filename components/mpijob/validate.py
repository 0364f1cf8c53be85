"""Finds settings that mpi-operator rejects although its CRD allows them.

The cluster accepts such a job, but it never starts: the operator writes an Event and no status.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from components.mpijob.job import LONGEST_LABEL
from frcnn.errors import Problem

_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")

_ALLOWED = {
    ("spec", "mpiImplementation"): ("OpenMPI", "Intel", "MPICH"),
    ("spec", "launcherCreationPolicy"): ("AtStartup", "WaitForWorkersReady"),
    ("spec", "runPolicy", "cleanPodPolicy"): ("None", "Running", "All"),
    ("spec", "runPolicy", "managedBy"): ("kubeflow.org/mpi-operator", "kueue.x-k8s.io/multikueue"),
}
_NOT_NEGATIVE = ("backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")


def problems(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Validates an MPIJob (v2beta1) whose types are correct.

    Args:
        manifest: MPIJob.

    Yields:
        Problems; none if the job can run.
    """
    for path, allowed in _ALLOWED.items():
        value = _at(manifest, path)
        if value is not None and value not in allowed:
            yield Problem(".".join(path), f"got {value!r}; expected one of {', '.join(allowed)}")
    slots = _at(manifest, ("spec", "slotsPerWorker"))
    if slots is not None and slots < 1:
        yield Problem("spec.slotsPerWorker", f"got {slots}; expected 1 or more")
    for field in _NOT_NEGATIVE:
        value = _at(manifest, ("spec", "runPolicy", field))
        if value is not None and value < 0:
            yield Problem(f"spec.runPolicy.{field}", f"got {value}; expected 0 or more")
    roles = _at(manifest, ("spec", "mpiReplicaSpecs")) or {}
    yield from _role_problems(roles)
    yield from _name_problems(manifest, roles)


def _role_problems(roles: Mapping[str, Any]) -> Iterator[Problem]:
    place = "spec.mpiReplicaSpecs"
    if "Launcher" not in roles:
        yield Problem(place, "Launcher is missing; expected one")
    for role, replica in roles.items():
        if role not in ("Launcher", "Worker"):
            yield Problem(f"{place}.{role}", "unknown role; expected Launcher or Worker")
            continue
        count = replica.get("replicas", 1)
        if role == "Launcher" and count != 1:
            yield Problem(f"{place}.Launcher.replicas", f"got {count}; expected 1")
        if role == "Worker" and count < 1:
            yield Problem(f"{place}.Worker.replicas", f"got {count}; expected 1 or more")
        policy = replica.get("restartPolicy")
        if policy not in (None, "Never", "OnFailure"):
            yield Problem(f"{place}.{role}.restartPolicy", f"got {policy!r}; expected Never or OnFailure")
        if not _at(replica, ("template", "spec", "containers")):
            yield Problem(f"{place}.{role}.template.spec.containers", "empty; expected a container")


def _name_problems(manifest: Mapping[str, Any], roles: Mapping[str, Any]) -> Iterator[Problem]:
    """Checks the longest derived name, that of the last worker, which must be a DNS label."""
    name = _at(manifest, ("metadata", "name")) or ""
    count = max(1, roles.get("Worker", {}).get("replicas", 1))
    longest = f"{name}-worker-{count - 1}"
    if not _DNS_LABEL.fullmatch(name):
        yield Problem("metadata.name", f"got {name!r}; expected a-z, 0-9 and -, starting with a letter")
    elif len(longest) > LONGEST_LABEL:
        room = LONGEST_LABEL - len(longest) + len(name)
        yield Problem(
            "metadata.name", f"{len(name)} characters; expected at most {room}, to allow for {longest}"
        )


def _at(tree: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree.get(key)  # type: ignore[assignment]
        if tree is None:
            return None
    return tree
