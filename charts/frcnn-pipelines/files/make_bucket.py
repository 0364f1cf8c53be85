"""Makes the bucket if it is not there. Settings are environment variables, given by the chart."""

import logging
import os
import sys
import time
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException

log = logging.getLogger("make_bucket")

PATIENCE_SECONDS = float(os.environ.get("PATIENCE_SECONDS", "600"))
# Answers that no waiting changes.
FINAL = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidBucketName")
OURS = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


def client() -> Minio:
    """A client of the server that the environment names."""
    url = urlsplit(os.environ["S3_ENDPOINT"])
    return Minio(
        url.netloc,
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        region=os.environ["AWS_REGION"],
        secure=url.scheme == "https",
        http_client=urllib3.PoolManager(timeout=10, retries=False),
    )


def make(store: Minio, bucket: str) -> str:
    """Makes the bucket; returns what was done."""
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
    """Tries until the server answers, for ten minutes; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    endpoint, bucket = os.environ["S3_ENDPOINT"], os.environ["S3_BUCKET"]
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            log.info("bucket %s on %s: %s", bucket, endpoint, make(client(), bucket))
            return 0
        except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            log.warning("bucket %s on %s: %s", bucket, endpoint, error)
            final = isinstance(error, ValueError) or getattr(error, "code", "") in FINAL
            if final or time.monotonic() > until:
                log.error("gave up; check s3.endpoint, and the keys in the secret")
                return 1
        time.sleep(min(3.0, PATIENCE_SECONDS / 10))


if __name__ == "__main__":
    sys.exit(main())
