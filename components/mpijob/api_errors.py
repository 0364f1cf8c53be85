"""Errors of the Kubernetes API, and explanations of why it refused a request."""

import contextlib
import json
from collections.abc import Iterator

import urllib3
from kubernetes.client.exceptions import ApiException

from components.mpijob.diagnosis import of_message
from components.mpijob.resources import Resource
from frcnn.errors import RunError

_GRANT = (
    "Install the chart frcnn-pipelines in this namespace and run as its service account frcnn-launcher, "
    "or add your account to its value rbac.subjects"
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


@contextlib.contextmanager
def refusing(request: str, namespace: str, resource: Resource) -> Iterator[None]:
    """Turns denied access in the block into `RefusedError`; passes other errors through.

    Args:
        request: Verb and object of the request, such as `watch pods of mpijob/kitti`.
        namespace: Namespace of the object.
        resource: Kind of the object.

    Raises:
        RefusedError: Access is denied.
    """
    try:
        yield
    except ApiException as error:
        if error.status not in (401, 403):
            raise
        raise _refused(error, request, namespace, resource) from error


@contextlib.contextmanager
def naming(request: str, namespace: str, resource: Resource) -> Iterator[None]:
    """Converts errors of requests in the block into errors that name the request and suggest a remedy.

    Args:
        request: Verb and object of the request, such as `create mpijob/kitti`.
        namespace: Namespace of the object.
        resource: Kind of the object.

    Raises:
        RefusedError: The API refused the request.
        UnreachableError: The API is unreachable, or asks to try again later.
    """
    place = f"{request} in namespace {namespace}"
    try:
        yield
    except ApiException as error:
        if error.status in (0, 429) or error.status >= 500:
            raise UnreachableError(f"{place}: {error.status} {_message(error)}") from error
        raise _refused(error, request, namespace, resource) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnreachableError(
            f"{place}: the Kubernetes API does not respond: {error}. Check the network and KUBECONFIG."
        ) from error


def _refused(error: ApiException, request: str, namespace: str, resource: Resource) -> RefusedError:
    reason = _explain(error, namespace, resource)
    return RefusedError(f"{request} in namespace {namespace}: {reason}", status=error.status)


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
