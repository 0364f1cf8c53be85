"""Converts URIs of Kubeflow artifacts to the s3:// URIs that the rest of the code uses."""

# Schemes of S3 object stores in Kubeflow's artifact URIs. A query part describes the server to Kubeflow's
# client; here, the environment does that.
_SCHEMES = ("s3://", "minio://")


def as_s3(uri: str) -> str:
    """Returns the s3:// URI of an artifact.

    Args:
        uri: URI of the artifact in Kubeflow.

    Returns:
        s3:// URI; empty if the artifact is not on S3.
    """
    address = uri.partition("?")[0].rstrip("/")
    for scheme in _SCHEMES:
        if address.startswith(scheme):
            return f"s3://{address.removeprefix(scheme)}"
    return ""
