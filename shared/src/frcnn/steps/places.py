"""Folders and S3 URIs given to steps, and the records, which they read in place.

Kubeflow copies input artifacts to the disk of a step's pod. Steps therefore take the URI of the records as a
parameter and read only the records that they need from there.
"""

from pathlib import Path

from frcnn.errors import DataError, UsageError

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


def folder_or_s3(given: str, flag: str) -> str:
    """Returns a folder or s3:// URI without the blanks around it that pasting adds.

    Anything else would be taken for a folder of that name on the disk of a pod, and be lost with the pod.

    Args:
        given: Folder, or URI on S3 as the UI shows it (s3:// or minio://); empty for none.
        flag: Flag that it comes from, for messages.

    Raises:
        UsageError: It is a URI of another kind.
    """
    text = given.strip()
    if place := as_s3(text):
        return place
    if "://" in text:
        raise UsageError(f"{flag} {text}: unsupported URI; expected s3://bucket/prefix or a folder")
    return text


def records_place(folder: Path | None, uri: str) -> Path | str:
    """Returns the folder or s3:// URI that a step reads its records from.

    Args:
        folder: Value of --records, a folder for runs by hand; `None` if it was not given.
        uri: Value of --records-uri, which takes precedence; empty if it was not given.

    Raises:
        UsageError: Neither is given, or the URI is not supported.
        DataError: The folder does not exist.
    """
    if not uri:
        if folder is None:
            raise UsageError(
                "Missing --records-uri. Set it to the URI of the records, or --records to a folder."
            )
        return _existing(folder, f"--records {folder}")
    if place := as_s3(uri):
        return place
    if "://" in uri:
        raise UsageError(
            f"--records-uri {uri}: unsupported URI; expected s3://bucket/prefix or a folder. "
            "The cluster's pipelines must store artifacts on S3."
        )
    return _existing(Path(uri), f"--records-uri {uri}")


def _existing(folder: Path, given: str) -> Path:
    if not folder.is_dir():
        raise DataError(f"{given}: no such folder. Check that its volume is mounted.")
    return folder
