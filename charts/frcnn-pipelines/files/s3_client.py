"""Creates the S3 client of the chart's scripts from environment variables."""

import os
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.credentials.providers import IamAwsProvider, Provider, StaticProvider


def setting(name: str) -> str:
    """Returns an environment variable without the trailing line break of secrets made from files.

    Args:
        name: Name of the variable.
    """
    return os.environ[name].strip()


def client() -> Minio:
    """Creates a client with the keys in the environment, or else with the role of the pod's account."""
    url = urlsplit(setting("S3_ENDPOINT"))
    return Minio(
        url.netloc,
        credentials=_credentials(),
        region=setting("AWS_REGION"),
        secure=url.scheme == "https",
        http_client=urllib3.PoolManager(timeout=10, retries=False),
    )


def _credentials() -> Provider:
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return StaticProvider(setting("AWS_ACCESS_KEY_ID"), setting("AWS_SECRET_ACCESS_KEY"))
    return IamAwsProvider()
