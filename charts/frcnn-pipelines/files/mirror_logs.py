"""Repeatedly copies new and changed event files of TensorBoard from the bucket to a folder."""

import logging
import os
import sys
import time
from pathlib import Path, PurePosixPath

import urllib3
from minio import Minio
from minio.error import MinioException
from s3_client import client, setting

log = logging.getLogger("mirror_logs")

MARK = "events.out.tfevents"


def mirror(store: Minio, bucket: str, prefix: str, folder: Path, known: dict[str, str]) -> int:
    """Copies new and changed files.

    Args:
        store: S3 client.
        bucket: Name of the bucket.
        prefix: Prefix of the logs in the bucket.
        folder: Output folder.
        known: Versions (ETags) of copied files by name; updated.

    Returns:
        Number of copied files.
    """
    copied = 0
    for entry in store.list_objects(bucket, prefix=prefix, recursive=True):
        name = entry.object_name
        relative = PurePosixPath(name.removeprefix(prefix).lstrip("/"))
        if MARK not in relative.name or ".." in relative.parts or known.get(name) == entry.etag:
            continue
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        store.fget_object(bucket, name, str(target))  # writes to a temporary file, then renames it
        known[name] = entry.etag
        copied += 1
    return copied


def main() -> int:
    """Mirrors until the process is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    known: dict[str, str] = {}
    while True:
        try:
            copied = mirror(
                client(),
                setting("S3_BUCKET"),
                os.environ["LOGS_PREFIX"],
                Path(os.environ["LOGS_FOLDER"]),
                known,
            )
            if copied:
                log.info("%d event files copied", copied)
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            log.warning("%s; retrying", error)
        time.sleep(float(os.environ["LOGS_INTERVAL"]))


if __name__ == "__main__":
    sys.exit(main())
