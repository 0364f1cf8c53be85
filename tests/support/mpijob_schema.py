"""JSON schemas of an MPIJob: this project's own, of the fields it writes, and the CRD's, made strict."""

from pathlib import Path
from typing import Any

import yaml

CRD = Path(__file__).parents[3] / "shared/reference/kubeflow.org_mpijobs.yaml"

_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
_COUNT = {"type": "integer"}


def _strict(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_REPLICA = _strict(
    {
        "replicas": _COUNT,
        "restartPolicy": {"type": "string"},
        # The pod is left to kubernetes-validate.
        "template": _strict({"metadata": {"type": "object"}, "spec": {"type": "object"}}, "spec"),
    },
    "replicas",
    "restartPolicy",
    "template",
)
_OWNER = _strict(
    {
        "apiVersion": {"const": "v1"},
        "kind": {"const": "Pod"},
        "name": {"type": "string"},
        "uid": {"type": "string"},
        "controller": {"type": "boolean"},
        "blockOwnerDeletion": {"type": "boolean"},
    },
    "apiVersion",
    "kind",
    "name",
    "uid",
)
_POLICY = {
    "cleanPodPolicy": {"type": "string"},
    "ttlSecondsAfterFinished": _COUNT,
    "activeDeadlineSeconds": _COUNT,
    "backoffLimit": _COUNT,
}
OWN = _strict(
    {
        "apiVersion": {"const": "kubeflow.org/v2beta1"},
        "kind": {"const": "MPIJob"},
        "metadata": _strict(
            {
                "name": {"type": "string"},
                "namespace": {"type": "string"},
                "labels": _STRINGS,
                "annotations": _STRINGS,
                "ownerReferences": {"type": "array", "items": _OWNER},
            },
            "name",
        ),
        "spec": _strict(
            {
                "slotsPerWorker": _COUNT,
                "sshAuthMountPath": {"type": "string"},
                "launcherCreationPolicy": {"type": "string"},
                "mpiImplementation": {"enum": ["OpenMPI", "Intel", "MPICH"]},
                "mpiReplicaSpecs": _strict({"Launcher": _REPLICA, "Worker": _REPLICA}),
                "runPolicy": _strict(_POLICY),
            },
            "mpiReplicaSpecs",
        ),
    },
    "apiVersion",
    "kind",
    "metadata",
    "spec",
)


def from_crd() -> dict[str, Any]:
    """The CRD's schema of v2beta1, with every field it does not name forbidden."""
    document = yaml.load(CRD.read_text("utf-8"), Loader=yaml.CSafeLoader)
    version = next(each for each in document["spec"]["versions"] if each["name"] == "v2beta1")
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"]["metadata"] = {"type": "object"}
    template = schema["properties"]["spec"]["properties"]["mpiReplicaSpecs"]["additionalProperties"]
    # The CRD leaves a pod's metadata open on purpose.
    template["properties"]["template"]["properties"]["metadata"] = {}
    return _forbid_unknown(schema)


def _forbid_unknown(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_forbid_unknown(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") is True:
        return {"type": ["integer", "string"]}
    strict = {key: _forbid_unknown(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        strict.setdefault("additionalProperties", False)
    return strict
