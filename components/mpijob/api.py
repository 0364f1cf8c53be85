"""The calls to the Kubernetes API that following an MPIJob takes, and what their errors mean.

These and no others: charts/frcnn-pipelines grants exactly them (a test compares).
"""

import contextlib
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

_MPIJOBS = {"group": "kubeflow.org", "version": "v2beta1", "plural": "mpijobs"}
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
# Beyond what the server was told to wait: a connection that died without a word is noticed.
_READ_SECONDS = 30
# A log may be silent for long; after this the connection is made anew, in case it is dead.
_SILENT_SECONDS = 300
_GRANT = (
    "Install the chart frcnn-pipelines in this namespace and run as its service account frcnn-launcher, "
    "or list yours in its value rbac.subjects"
)
INSTALL_OPERATOR = (
    "Install mpi-operator v0.8 (kubectl apply --server-side -f .../mpi-operator/v0.8.2/deploy/v2beta1/"
    "mpi-operator.yaml)"
)


class RefusedError(RunError):
    """The API refused a request, for a reason that trying again does not change."""

    def __init__(self, message: str, status: int = 0) -> None:
        """`status` is that of the HTTP answer."""
        super().__init__(message)
        self.status = status


class UnreachableError(RunError):
    """The API cannot be reached, or cannot answer now. A job may well go on meanwhile."""


class ExpiredWatchError(Exception):
    """The server no longer knows the version to watch from (410): look at the object again."""


def connect() -> tuple[client.ApiClient, str]:
    """A client with this pod's or the user's own access, and its namespace.

    Raises:
        RunError: There is neither.
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
                f"no access to the cluster from this pod: {error}. Its account's token is not mounted; "
                "run as the chart's frcnn-launcher, or set automountServiceAccountToken"
            ) from error
        raise RunError(f"no access to a cluster: {error}. Run inside a pod, or set KUBECONFIG") from error


class Cluster:
    """One namespace, seen through a client."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        """Makes no request."""
        self.namespace = namespace
        self._request = {**_MPIJOBS, "namespace": namespace, "_request_timeout": _READ_SECONDS}
        self._objects = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)

    def create(self, manifest: Manifest) -> Manifest | None:
        """The new job; None if there is one of that name.

        Raises:
            RefusedError: With a reason and a remedy.
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
        """The job as it is now; None if there is none of that name."""
        try:
            with self._naming("get", name):
                job: Manifest = self._objects.get_namespaced_custom_object(**self._request, name=name)
        except RefusedError as error:
            _expect(error, 404)
            return None
        return job

    def set_owners(self, name: str, owners: list[Manifest], version: str) -> bool:
        """Writes the job's owners; False if it was changed since `version`, or is gone."""
        body = {"metadata": {"ownerReferences": owners, "resourceVersion": version}}
        try:
            with self._naming("patch", name):
                self._objects.patch_namespaced_custom_object(**self._request, name=name, body=body)
        except RefusedError as error:
            _expect(error, 404, 409)
            return False
        return True

    def delete(self, name: str) -> None:
        """Asks for the job's deletion, and by that for its pods'; nothing happens if it is gone."""
        try:
            with self._naming("delete", name):
                self._objects.delete_namespaced_custom_object(
                    **self._request, name=name, propagation_policy="Background"
                )
        except RefusedError as error:
            _expect(error, 404)

    def watch(self, name: str, version: str, seconds: int) -> Iterator[tuple[str, Manifest]]:
        """(ADDED|MODIFIED|DELETED|BOOKMARK, job) as it changes after `version`, for `seconds` at most.

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
        """(kind of change, pod) of the job's pods as they are, if `version` is None, and as they change.

        Raises:
            RefusedError: It is not allowed.
            ExpiredWatchError: `version` is too old.
            ApiException, urllib3.exceptions.HTTPError: The request failed, or the connection broke.
        """
        chosen = {"namespace": self.namespace, "label_selector": f"{JOB_LABEL}={name}"}
        with self._refusing("watch pods of", name):
            response = self._begin_watch(self._core.list_namespaced_pod, _since(chosen, version), seconds)
        yield from _changes_of(response)

    def watch_events(self, name: str, version: str | None, seconds: int) -> Iterator[tuple[str, Json]]:
        """(kind of change, Event) about the job, its pods and its launcher's Job, as `watch_pods`.

        The API selects Events by one object's name only, so all of the namespace's come, and those about
        others are left out here.
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
        """Names a refusal of the request inside the block; leaves errors that may pass as they are."""
        try:
            yield
        except ApiException as error:
            if error.status not in (401, 403):
                raise
            place = f"{verb} mpijob/{name} in namespace {self.namespace}"
            raise RefusedError(f"{place}: {_explain(error, self.namespace)}", status=error.status) from error

    def pods(self, name: str, role: str | None = None) -> list[Json]:
        """The job's pods as JSON, oldest first; `role` launcher or worker, None for all."""
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
        """The lines of a pod's log, each `<time> <text>`, until its container ends.

        Raises:
            ApiException, urllib3.exceptions.HTTPError: As `watch`.
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
        """Errors of the request inside the block say what was asked for, and what to do."""
        place = f"{verb} mpijob/{name} in namespace {self.namespace}"
        try:
            yield
        except ApiException as error:
            if error.status in (0, 429) or error.status >= 500:
                raise UnreachableError(f"{place}: {error.status} {_message(error)}") from error
            raise RefusedError(f"{place}: {_explain(error, self.namespace)}", status=error.status) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(
                f"{place}: the Kubernetes API does not answer: {error}. Check the network, and KUBECONFIG"
            ) from error


def _expect(error: RefusedError, *statuses: int) -> None:
    if error.status not in statuses:
        raise error


def _explain(error: ApiException, namespace: str) -> str:
    """What a refusal means, and what to do."""
    message = _message(error)
    if error.status == 401:
        return "the cluster does not know us (401). Log in again, or renew the token"
    if error.status == 403:
        known = of_message(message)
        return f"{message.rstrip('.')}. {known[1] if known else _GRANT}"
    if error.status != 404:
        return f"the cluster refuses it ({error.status}): {message}. Correct the job's settings"
    if "namespaces" in message:
        return f"{message}. Create the namespace {namespace}, or name another"
    return (
        f"the cluster knows no MPIJob (kubeflow.org/v2beta1). {INSTALL_OPERATOR}. Beside a "
        "training-operator, whose MPIJob v1 excludes it, see docs/cluster.md"
    )


def _message(error: ApiException) -> str:
    try:
        return " ".join(str(json.loads(error.body)["message"]).split())
    except (TypeError, ValueError, KeyError):
        return " ".join(str(error.body or error.reason).split())[:300]


def _since(chosen: dict[str, Any], version: str | None) -> dict[str, Any]:
    # 0 asks for the state as the server's cache has it, then for changes; no version at all would have the
    # server make sure of the newest state first, which it cannot with an older etcd.
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
    """The lines of an answer that arrives bit by bit; the last may lack its end. Closes the answer."""
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
