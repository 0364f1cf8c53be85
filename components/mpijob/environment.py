"""Environment variables of a training job's pods."""

from typing import Any

from components.mpijob.job import TrainingJob

# Variables that pass the role of a service account to a pod. Cloud webhooks set them, so the manifest does
# not contain them.
ROLE_VARIABLES = (
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_SESSION_NAME",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)


def environment(job: TrainingJob) -> list[dict[str, Any]]:
    """Returns the variables of a job's containers, as Kubernetes lists them in a pod.

    Args:
        job: Training job.
    """
    variables: list[dict[str, Any]] = [
        {"name": name, "value": value} for name, value in job.environment.items()
    ]
    variables += [
        _from_secret(name, secret, key, optional=True)
        for name, (secret, key) in job.secret_environment.items()
    ]
    if job.s3:
        variables += [
            {"name": "S3_ENDPOINT", "value": job.s3.endpoint},
            {"name": "AWS_REGION", "value": "us-east-1"},
            _from_secret("AWS_ACCESS_KEY_ID", job.s3.secret, "accesskey"),
            _from_secret("AWS_SECRET_ACCESS_KEY", job.s3.secret, "secretkey"),
        ]
    return variables


def _from_secret(name: str, secret: str, key: str, *, optional: bool = False) -> dict[str, Any]:
    reference = {"name": secret, "key": key, **({"optional": True} if optional else {})}
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}
