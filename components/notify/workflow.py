"""Determines the outcome of a run from its Argo workflow.

Kubeflow Pipelines passes its exit handler the state from its metadata store. That state stays RUNNING if a
gate is closed or a pod is killed, and always does so up to 2.16.1. Argo's workflow has the actual state. The
service accounts of steps may read it (manifests of Kubeflow Pipelines 2.15.0 to 2.17.0: pipeline-runner, and
aggregate-to-kubeflow-pipelines-edit for profiles).
"""

import base64
import dataclasses
import gzip
import json
import os
import ssl
import urllib.request
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_SECONDS = 10.0
_FAILED = ("Failed", "Error")
_EXECUTOR, _DRIVER = "executor", "-driver"
# Steps whose success determines whether a model was exported or published.
EXPORT, PUBLISH = "export", "publish"
_MAX_MESSAGE = 500


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Outcome of a run.

    Attributes:
        state: `SUCCEEDED`, `FAILED`, or `GATE_CLOSED`: no step failed, and no model was exported.
        detail: Description of the outcome.
        step: Step that failed, or last step before a closed gate.
    """

    state: str
    detail: str
    step: str = ""


def nodes_of(run: str) -> dict[str, Any]:
    """Reads the nodes of a run's workflow from Kubernetes.

    Args:
        run: Name of the workflow.

    Returns:
        Nodes by id.

    Raises:
        OSError: The process is not in a cluster, or the request failed.
        ValueError: The response is invalid.
    """
    account = ACCOUNT_FOLDER
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise OSError("not inside a cluster")
    token, namespace = (
        (account / name).read_text(encoding="utf-8").strip() for name in ("token", "namespace")
    )
    place = f"[{host}]" if ":" in host else host
    path = f"apis/argoproj.io/v1alpha1/namespaces/{quote(namespace)}/workflows/{quote(run)}"
    request = urllib.request.Request(
        f"https://{place}:{port}/{path}", headers={"Authorization": f"Bearer {token}"}
    )
    context = ssl.create_default_context(cafile=str(account / "ca.crt"))
    # The cluster's own API server is never accessed through a proxy.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
        return nodes_in(json.load(answer))


def nodes_in(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """Extracts the nodes from a workflow. Argo compresses them in large workflows.

    Args:
        workflow: Workflow as JSON.

    Returns:
        Nodes by id.

    Raises:
        ValueError: The workflow has no nodes.
    """
    try:
        status = workflow.get("status") or {}
        nodes = status.get("nodes")
        if not nodes and status.get("compressedNodes"):
            nodes = json.loads(gzip.decompress(base64.b64decode(status["compressedNodes"])))
    except (AttributeError, TypeError, EOFError, zlib.error) as error:
        raise ValueError(f"the workflow is invalid: {error}") from error
    if not isinstance(nodes, dict) or not nodes or not all(isinstance(each, dict) for each in nodes.values()):
        raise ValueError("the workflow has no information about its steps")
    return nodes


def outcome(nodes: Mapping[str, Any]) -> Outcome:
    """Determines the outcome of a run in which only the exit handler is still running.

    Args:
        nodes: Nodes of the workflow by id.

    Returns:
        Outcome of the run.
    """
    failed = list(_failures(nodes))
    if failed:
        detail = "; ".join(
            f"step {name} failed{f': {message}' if message else ''}" for name, message in failed
        )
        return Outcome("FAILED", detail, failed[0][0])
    done = {name for name, node in _steps(nodes) if node.get("phase") == "Succeeded"}
    if PUBLISH in done:
        return Outcome("SUCCEEDED", "a model was exported and published")
    if EXPORT in done:
        return Outcome("SUCCEEDED", "a model was exported")
    last = _last(nodes)
    return Outcome(
        "GATE_CLOSED", f"no model was exported: the gate after step {last or 'none'} is closed", last
    )


def _steps(nodes: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the nodes that represent steps: the parents of executor nodes."""
    for node in nodes.values():
        names = [
            nodes[child].get("displayName", "") for child in node.get("children") or () if child in nodes
        ]
        if _EXECUTOR in names and node.get("displayName") != _EXECUTOR:
            yield str(node["displayName"]), node


def _failures(nodes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields failed steps and reasons. Failed attempts before a successful one do not count."""
    for name, node in _steps(nodes):
        if node.get("phase") in _FAILED:
            yield name, _reason(nodes, node)
    for node in nodes.values():
        name = str(node.get("displayName", ""))
        if name.endswith(_DRIVER) and node.get("phase") in _FAILED and node.get("type") == "Pod":
            yield name.removesuffix(_DRIVER), f"before it started: {_text(node)}".rstrip(": ")


def _reason(nodes: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """Returns the message of the last failed pod below a node, or else of the node itself."""
    pods, open_ids, seen = [], list(node.get("children") or ()), set()
    while open_ids:
        number = open_ids.pop()
        if number in seen or number not in nodes:
            continue
        seen.add(number)
        below = nodes[number]
        open_ids += below.get("children") or ()
        if below.get("type") == "Pod" and below.get("phase") in _FAILED:
            pods.append(below)
    pods.sort(key=lambda each: str(each.get("finishedAt") or each.get("startedAt") or ""))
    return _text(pods[-1]) if pods and _text(pods[-1]) else _text(node)


def _text(node: Mapping[str, Any]) -> str:
    return " ".join(str(node.get("message") or "").split())[:_MAX_MESSAGE]


def _last(nodes: Mapping[str, Any]) -> str:
    succeeded = [
        (str(node.get("startedAt") or ""), name)
        for name, node in _steps(nodes)
        if node.get("phase") == "Succeeded"
    ]
    return max(succeeded)[1] if succeeded else ""
