"""Connects to the Kubernetes API, from a pod or from outside the cluster."""

import os
from pathlib import Path

from kubernetes import client, config

from frcnn.errors import RunError

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


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
