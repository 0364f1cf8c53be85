"""Creates the bucket if it does not exist. The chart provides the settings as environment variables."""

import logging
import os
import sys
import time

import urllib3
from minio import Minio
from minio.error import MinioException
from s3_client import client, setting

log = logging.getLogger("make_bucket")

PATIENCE_SECONDS = float(os.environ.get("PATIENCE_SECONDS", "600"))
# Seconds to retry rejected keys, because the server may be about to restart with them.
REFUSED_SECONDS = float(os.environ.get("REFUSED_SECONDS", "0"))
# Errors that are retried only for REFUSED_SECONDS.
FINAL = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidBucketName")
OURS = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


def make(store: Minio, bucket: str) -> str:
    """Creates the bucket if it does not exist.

    Args:
        store: S3 client.
        bucket: Name of the bucket.

    Returns:
        Description of what was done.
    """
    if store.bucket_exists(bucket):
        return "is there already"
    try:
        store.make_bucket(bucket)
    except MinioException as error:
        if getattr(error, "code", "") not in OURS:
            raise
        return "is there already"
    return "made"


def main() -> int:
    """Retries until the server responds, for PATIENCE_SECONDS at most.

    Returns:
        Exit code.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    endpoint, bucket = setting("S3_ENDPOINT"), setting("S3_BUCKET")
    began = time.monotonic()
    while True:
        try:
            log.info("bucket %s on %s: %s", bucket, endpoint, make(client(), bucket))
            return 0
        except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            log.warning("bucket %s on %s: %s", bucket, endpoint, error)
            final = isinstance(error, ValueError) or getattr(error, "code", "") in FINAL
            if time.monotonic() - began > (REFUSED_SECONDS if final else PATIENCE_SECONDS):
                log.error("gave up; check s3.endpoint, and the keys in the secret")
                return 1
        time.sleep(min(3.0, PATIENCE_SECONDS / 10))


if __name__ == "__main__":
    sys.exit(main())
