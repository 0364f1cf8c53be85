"""Kubernetes API calls that are needed to run an MPIJob.

The chart frcnn-pipelines grants exactly these calls; tests/charts/test_rights.py compares the two.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.mpijob.api_errors import ExpiredWatchError, RefusedError, naming, refusing
from components.mpijob.diagnosis import Json
from components.mpijob.manifest import JOB_LABEL, ROLE_LABEL, Manifest
from components.mpijob.resources import MPIJOBS, Resource
from components.mpijob.watch_stream import changes_of, lines_of, since

# Added to the server's own timeout, so that a silently broken connection is detected.
_READ_SECONDS = 30
# A log may stay silent for long; reconnect after this time in case the connection is broken.
_SILENT_SECONDS = 300


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
        yield from changes_of(response)

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
            response = self._begin_watch(self._core.list_namespaced_pod, since(chosen, version), seconds)
        yield from changes_of(response)

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
                self._core.list_namespaced_event, since({"namespace": self.namespace}, version), seconds
            )
        for kind, event in changes_of(response):
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

    def _naming(self, verb: str, name: str) -> contextlib.AbstractContextManager[None]:
        return naming(f"{verb} {self.resource.kind}/{name}", self.namespace, self.resource)

    def _refusing(self, verb: str, name: str) -> contextlib.AbstractContextManager[None]:
        return refusing(f"{verb} {self.resource.kind}/{name}", self.namespace, self.resource)


def _expect(error: RefusedError, *statuses: int) -> None:
    if error.status not in statuses:
        raise error
