"""Places as Kubeflow names them, for code that knows S3 by one name."""

# How Kubeflow's object stores are addressed in artifacts' URIs. What follows a question mark tells its own
# client of the server, which is here in the environment.
_SCHEMES = ("s3://", "minio://")


def as_s3(uri: str) -> str:
    """The s3:// URI of an artifact; empty if it is kept somewhere else."""
    address = uri.partition("?")[0].rstrip("/")
    for scheme in _SCHEMES:
        if address.startswith(scheme):
            return f"s3://{address.removeprefix(scheme)}"
    return ""
