"""Kubernetes API calls that are needed to run an MPIJob, and explanations of their errors.

The chart frcnn-pipelines grants exactly these calls; tests/charts/test_rights.py compares the two.
"""

import contextlib
import dataclasses
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from components.mpijob.diagnosis import Json, of_message
from components.mpijob.manifest import JOB_LABEL, ROLE_LABEL, Manifest
from frcnn.errors import RunError

log = logging.getLogger(__name__)

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
# Added to the server's own timeout, so that a silently broken connection is detected.
_READ_SECONDS = 30
# A log may stay silent for long; reconnect after this time in case the connection is broken.
_SILENT_SECONDS = 300
_GRANT = (
    "Install the chart frcnn-pipelines in this namespace and run as its service account frcnn-launcher, "
    "or add your account to its value rbac.subjects"
)
INSTALL_OPERATOR = (
    "Install mpi-operator v0.8 (kubectl apply --server-side -f .../mpi-operator/v0.8.2/deploy/v2beta1/"
    "mpi-operator.yaml)"
)


@dataclasses.dataclass(frozen=True)
class Resource:
    """Kind of object that a `Cluster` works on.

    Attributes:
        group: API group.
        version: Version of the API.
        plural: Name in URLs.
        kind: Name in messages, in lower case.
        missing: What to do if the cluster does not know the resource.
    """

    group: str
    version: str
    plural: str
    kind: str
    missing: str


MPIJOBS = Resource(
    "kubeflow.org",
    "v2beta1",
    "mpijobs",
    "mpijob",
    f"the cluster has no MPIJob resource (kubeflow.org/v2beta1). {INSTALL_OPERATOR}. If a "
    "training-operator is installed, its MPIJob v1 conflicts with it; see docs/cluster.md.",
)
EXPERIMENTS = Resource(
    "kubeflow.org",
    "v1beta1",
    "experiments",
    "experiment",
    "the cluster has no Experiment resource (kubeflow.org/v1beta1). Install Katib v0.19; see docs/tuning.md.",
)


class RefusedError(RunError):
    """The API refused a request for a reason that a retry does not change."""

    def __init__(self, message: str, status: int = 0) -> None:
        """Creates the error.

        Args:
            message: Message for the user.
            status: HTTP status code; 0 if there is none.
        """
        super().__init__(message)
        self.status = status


class UnreachableError(RunError):
    """The API is unreachable or temporarily unable to respond. The job may continue meanwhile."""


class ExpiredWatchError(Exception):
    """The server no longer has the resource version to watch from (410). Read the object again."""


def connect() -> tuple[client.ApiClient, str]:
    """Connects to the cluster as this pod's service account or with the user's kubeconfig.

    Returns:
        Tuple of the API client and its default namespace.

    Raises:
        RunError: Neither a service account nor a kubeconfig is available.
    """
    settings = client.Configuration()
    try:
        if _NAMESPACE_FILE.exists():
            config.load_incluster_config(client_configuration=settings)
            return client.ApiClient(settings), _NAMESPACE_FILE.read_text("utf-8").strip()
        config.load_kube_config(client_configuration=settings)
        context = config.list_kube_config_contexts()[1]["context"]
        return client.ApiClient(settings), context.get("namespace", "default")
    except config.ConfigException as error:
        if os.environ.get("KUBERNETES_SERVICE_HOST"):
            raise RunError(
                f"no access to the cluster from this pod: {error}. Its service account token is not mounted. "
                "Run as the chart's frcnn-launcher, or set automountServiceAccountToken."
            ) from error
        raise RunError(f"no access to a cluster: {error}. Run inside a pod, or set KUBECONFIG.") from error


class Cluster:
    """Operations on MPIJobs, or other jobs, and their pods in one namespace."""

    def __init__(self, api: client.ApiClient, namespace: str, resource: Resource = MPIJOBS) -> None:
        """Creates the client without sending a request.

        Args:
            api: Kubernetes API client.
            namespace: Namespace of the jobs.
            resource: Kind of the jobs.
        """
        self.namespace, self.resource = namespace, resource
        self._request = {
            "group": resource.group,
            "version": resource.version,
            "plural": resource.plural,
            "namespace": namespace,
            "_request_timeout": _READ_SECONDS,
        }
        self._objects = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)

    def create(self, manifest: Manifest) -> Manifest | None:
        """Creates a job.

        Args:
            manifest: MPIJob to create.

        Returns:
            The created job, or `None` if a job with this name exists.

        Raises:
            RefusedError: The API refused the request; the message suggests a remedy.
            UnreachableError: The API is unreachable.
        """
        name = manifest["metadata"]["name"]
        try:
            with self._naming("create", name):
                job: Manifest = self._objects.create_namespaced_custom_object(**self._request, body=manifest)
        except RefusedError as error:
            _expect(error, 409)
            return None
        return job

    def get(self, name: str) -> Manifest | None:
        """Reads a job.

        Args:
            name: Name of the job.

        Returns:
            The current job, or `None` if no job has this name.

        Raises:
            RefusedError: The API refused the request.
            UnreachableError: The API is unreachable.
        """
        try:
            with self._naming("get", name):
                job: Manifest = self._objects.get_namespaced_custom_object(**self._request, name=name)
        except RefusedError as error:
            _expect(error, 404)
            return None
        return job

    def set_owners(self, name: str, owners: list[Manifest], version: str) -> bool:
        """Replaces the owner references of a job.

        Args:
            name: Name of the job.
            owners: Complete list of owner references.
            version: Resource version that the change is based on.

        Returns:
            `False` if the job was deleted, or changed since `version`.

        Raises:
            RefusedError: The API refused the request.
            UnreachableError: The API is unreachable.
        """
        body = {"metadata": {"ownerReferences": owners, "resourceVersion": version}}
        try:
            with self._naming("patch", name):
                self._objects.patch_namespaced_custom_object(**self._request, name=name, body=body)
        except RefusedError as error:
            _expect(error, 404, 409)
            return False
        return True

    def delete(self, name: str) -> None:
        """Requests the deletion of a job and its pods. Does nothing if the job does not exist.

        Args:
            name: Name of the job.

        Raises:
            RefusedError: The API refused the request.
            UnreachableError: The API is unreachable.
        """
        try:
            with self._naming("delete", name):
                self._objects.delete_namespaced_custom_object(
                    **self._request, name=name, propagation_policy="Background"
                )
        except RefusedError as error:
            _expect(error, 404)

    def watch(self, name: str, version: str, seconds: int) -> Iterator[tuple[str, Manifest]]:
        """Watches a job for changes.

        Args:
            name: Name of the job.
            version: Resource version to start after.
            seconds: Longest duration of the watch.

        Yields:
            Tuples of the event type (ADDED, MODIFIED, DELETED or BOOKMARK) and the job.

        Raises:
            ExpiredWatchError: `version` is too old.
            ApiException, urllib3.exceptions.HTTPError: The request failed, or the connection broke.
        """
        response = self._begin_watch(
            self._objects.list_namespaced_custom_object,
            {**self._request, "field_selector": f"metadata.name={name}", "resource_version": version},
            seconds,
        )
        yield from _changes_of(response)

    def watch_pods(self, name: str, version: str | None, seconds: int) -> Iterator[tuple[str, Json]]:
        """Watches the pods of a job.

        Args:
            name: Name of the job.
            version: Resource version to start after. `None` yields all existing pods first.
            seconds: Longest duration of the watch.

        Yields:
            Tuples of the event type and the pod.

        Raises:
            RefusedError: Access is denied.
            ExpiredWatchError: `version` is too old.
            ApiException, urllib3.exceptions.HTTPError: The request failed, or the connection broke.
        """
        chosen = {"namespace": self.namespace, "label_selector": f"{JOB_LABEL}={name}"}
        with self._refusing("watch pods of", name):
            response = self._begin_watch(self._core.list_namespaced_pod, _since(chosen, version), seconds)
        yield from _changes_of(response)

    def watch_events(self, name: str, version: str | None, seconds: int) -> Iterator[tuple[str, Json]]:
        """Watches Events about a job, its pods and its launcher's Job.

        The API can select Events by a single object name only. This method therefore watches all Events of
        the namespace and filters them here.

        Args:
            name: Name of the job.
            version: Resource version to start after. `None` yields all existing Events first.
            seconds: Longest duration of the watch.

        Yields:
            Tuples of the event type and the Event.

        Raises:
            RefusedError: Access is denied.
            ExpiredWatchError: `version` is too old.
            ApiException, urllib3.exceptions.HTTPError: The request failed, or the connection broke.
        """
        with self._refusing("watch events of", name):
            response = self._begin_watch(
                self._core.list_namespaced_event, _since({"namespace": self.namespace}, version), seconds
            )
        for kind, event in _changes_of(response):
            about = str(event.get("involvedObject", {}).get("name", ""))
            if about == name or about.startswith(f"{name}-") or kind == "BOOKMARK":
                yield kind, event

    def _begin_watch(
        self, call: Callable[..., Any], chosen: Mapping[str, Any], seconds: int
    ) -> urllib3.response.BaseHTTPResponse:
        try:
            response: urllib3.response.BaseHTTPResponse = call(
                **{**chosen, "_request_timeout": (_READ_SECONDS, seconds + _READ_SECONDS)},
                watch=True,
                timeout_seconds=seconds,
                _preload_content=False,
            )
        except ApiException as error:
            if error.status == 410:
                raise ExpiredWatchError from error
            raise
        return response

    @contextlib.contextmanager
    def _refusing(self, verb: str, name: str) -> Iterator[None]:
        """Turns denied access in the block into `RefusedError`; passes transient errors through."""
        try:
            yield
        except ApiException as error:
            if error.status not in (401, 403):
                raise
            place = f"{verb} {self.resource.kind}/{name} in namespace {self.namespace}"
            raise RefusedError(
                f"{place}: {_explain(error, self.namespace, self.resource)}", status=error.status
            ) from error

    def pods(self, name: str, role: str | None = None) -> list[Json]:
        """Lists the pods of a job.

        Args:
            name: Name of the job.
            role: `launcher` or `worker`. `None` lists both.

        Returns:
            Pods as JSON, oldest first.

        Raises:
            RefusedError: The API refused the request.
            UnreachableError: The API is unreachable.
        """
        selector = f"{JOB_LABEL}={name}" + (f",{ROLE_LABEL}={role}" if role else "")
        with self._naming("list pods of", name):
            response = self._core.list_namespaced_pod(
                self.namespace,
                label_selector=selector,
                _preload_content=False,
                _request_timeout=_READ_SECONDS,
            )
        items: list[Json] = json.loads(response.data).get("items") or []
        return sorted(items, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))

    def log(self, pod: str, since_seconds: int | None) -> Iterator[str]:
        """Follows the log of a pod until its container ends.

        Args:
            pod: Name of the pod.
            since_seconds: Age of the oldest line to return. `None` returns all lines.

        Returns:
            Iterator over lines, each `<time> <text>`.

        Raises:
            ApiException, urllib3.exceptions.HTTPError: The request failed, or the connection broke.
        """
        more = {} if since_seconds is None else {"since_seconds": since_seconds}
        response = self._core.read_namespaced_pod_log(
            pod,
            self.namespace,
            follow=True,
            timestamps=True,
            _preload_content=False,
            _request_timeout=(_READ_SECONDS, _SILENT_SECONDS),
            **more,
        )
        return lines_of(response)

    @contextlib.contextmanager
    def _naming(self, verb: str, name: str) -> Iterator[None]:
        """Converts errors of requests in the block into errors that name the request and a remedy."""
        place = f"{verb} {self.resource.kind}/{name} in namespace {self.namespace}"
        try:
            yield
        except ApiException as error:
            if error.status in (0, 429) or error.status >= 500:
                raise UnreachableError(f"{place}: {error.status} {_message(error)}") from error
            raise RefusedError(
                f"{place}: {_explain(error, self.namespace, self.resource)}", status=error.status
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(
                f"{place}: the Kubernetes API does not respond: {error}. Check the network and KUBECONFIG."
            ) from error


def _expect(error: RefusedError, *statuses: int) -> None:
    if error.status not in statuses:
        raise error


def _explain(error: ApiException, namespace: str, resource: Resource) -> str:
    """Explains why a request was refused and what to do."""
    message = _message(error)
    if error.status == 401:
        return "the cluster does not accept the credentials (401). Log in again, or renew the token."
    if error.status == 403:
        if "admission webhook" in message:
            return f"{message.rstrip('.')}."
        known = of_message(message)
        return f"{message.rstrip('.')}. {known[1] if known else _GRANT}"
    if error.status != 404:
        return f"the cluster rejected the request ({error.status}): {message}. Correct the job's settings."
    if "namespaces" in message:
        return f"{message}. Create the namespace {namespace}, or choose another one."
    return resource.missing


def _message(error: ApiException) -> str:
    try:
        return " ".join(str(json.loads(error.body)["message"]).split())
    except (TypeError, ValueError, KeyError):
        return " ".join(str(error.body or error.reason).split())[:300]


def _since(chosen: dict[str, Any], version: str | None) -> dict[str, Any]:
    # Version 0 requests the state from the server's cache, then changes. Without a version, the server would
    # first confirm that its state is the newest, which it cannot do with older etcd releases.
    return {**chosen, "resource_version": "0" if version is None else version}


def _changes_of(response: urllib3.response.BaseHTTPResponse) -> Iterator[tuple[str, Any]]:
    for line in lines_of(response):
        event = json.loads(line)
        if event["type"] == "ERROR":
            if event["object"].get("code") == 410:
                raise ExpiredWatchError
            raise ApiException(status=event["object"].get("code"), reason=event["object"].get("message"))
        yield event["type"], event["object"]


def lines_of(response: urllib3.response.BaseHTTPResponse) -> Iterator[str]:
    """Splits a streamed response into lines, and closes it at the end.

    Args:
        response: Response whose body has not been read.

    Yields:
        Non-empty lines, decoded as UTF-8. The last one may be incomplete.
    """
    rest = b""
    try:
        for chunk in response.stream(amt=None, decode_content=False):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in whole if line)
        if rest:
            yield rest.decode("utf-8", "replace")
    finally:
        response.close()
        response.release_conn()
