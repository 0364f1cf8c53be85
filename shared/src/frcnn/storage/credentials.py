"""Sources of S3 credentials: variables, file, web identity, role of a container or a machine."""

import configparser
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn.errors import StoreError, UsageError
from frcnn.storage.faults import TransientError
from frcnn.storage.network import pool, proxy_for

if TYPE_CHECKING:
    from minio.credentials.providers import Provider

_PAIRS = (
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"),
    ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
)
# Names the vendor on Amazon's machines. Elsewhere, a request to the metadata service only costs time.
_VENDOR_FILE = Path("/sys/devices/virtual/dmi/id/sys_vendor")
_METADATA = "http://169.254.169.254"
_METADATA_SECONDS = 2.0


def find_credentials(known: Mapping[str, str], ca_file: Path | None) -> "tuple[Provider | None, str]":
    """Finds the first source of credentials in the environment.

    The order is that of Amazon's own tools: keys, web identity, file, container role, machine role.

    Args:
        known: Environment variables, without surrounding white space.
        ca_file: CA certificates to trust for requests to a token service.

    Returns:
        Tuple of the provider and its description for messages. The provider is `None` if requests are
        unsigned.

    Raises:
        UsageError: A source is incomplete, or names a missing file.
    """
    for find in (_static, _web_identity, _file, _container, _machine):
        found = find(known, ca_file)
        if found is not None:
            return found
    return None, "no credentials"


def _static(known: Mapping[str, str], ca_file: Path | None) -> "tuple[Provider, str] | None":
    from minio.credentials.providers import StaticProvider

    for access, secret in _PAIRS:
        if known.get(access) and known.get(secret):
            token = known.get("AWS_SESSION_TOKEN") if access.startswith("AWS") else None
            for name, value in ((access, known[access]), (secret, known[secret])):
                # The value is sent in a header. Messages never contain it.
                if re.search(r"[\s\0-\x1f]", value):
                    raise UsageError(f"{name} has white space or a line break inside; expected one word")
            return StaticProvider(known[access], known[secret], token or None), f"{access} and {secret}"
        if known.get(access) or known.get(secret):
            missing = secret if known.get(access) else access
            raise UsageError(f"{missing} is not set, but its counterpart is. Set both {access} and {secret}.")
    return None


def _web_identity(known: Mapping[str, str], ca_file: Path | None) -> "tuple[Provider, str] | None":
    from minio.credentials.providers import WebIdentityProvider

    named = known.get("AWS_WEB_IDENTITY_TOKEN_FILE", "")
    if not named:
        return None
    role, path = known.get("AWS_ROLE_ARN", ""), Path(named)
    if not role:
        raise UsageError(
            "AWS_ROLE_ARN is not set, but AWS_WEB_IDENTITY_TOKEN_FILE is. Annotate the service account "
            "with the role, which sets both."
        )
    if not path.is_file():
        raise UsageError(f"AWS_WEB_IDENTITY_TOKEN_FILE: {named}: no such file")
    service = _token_service(known)

    def token() -> dict[str, str]:
        return {"access_token": path.read_text("utf-8").strip(), "expires_in": "0"}  # the kubelet renews it

    provider = WebIdentityProvider(
        jwt_provider_func=token,
        sts_endpoint=service,
        role_arn=role,
        role_session_name=known.get("AWS_ROLE_SESSION_NAME") or "frcnn",
        http_client=pool(proxy_for(service, known), ca_file),
    )
    return _checked(provider, f"role {role} by AWS_WEB_IDENTITY_TOKEN_FILE", service)


def _token_service(known: Mapping[str, str]) -> str:
    """Returns the URL of the service that exchanges tokens for credentials."""
    for name in ("AWS_ENDPOINT_URL_STS", "MINIO_STS_ENDPOINT"):
        if url := known.get(name):
            return url
    region = known.get("AWS_REGION") or known.get("AWS_DEFAULT_REGION")
    if not region:
        return "https://sts.amazonaws.com"
    return f"https://sts.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")


def _file(known: Mapping[str, str], ca_file: Path | None) -> "tuple[Provider, str] | None":
    from minio.credentials.providers import AWSConfigProvider

    named = known.get("AWS_SHARED_CREDENTIALS_FILE")
    path = Path(named) if named else Path(known.get("HOME") or "/") / ".aws" / "credentials"
    if path.is_file():
        profile = known.get("AWS_PROFILE") or "default"
        return _checked(AWSConfigProvider(str(path), profile), f"profile {profile} of {path}", str(path))
    if named:
        raise UsageError(f"AWS_SHARED_CREDENTIALS_FILE: {named}: no such file")
    return None


def _container(known: Mapping[str, str], ca_file: Path | None) -> "tuple[Provider, str] | None":
    from minio.credentials.providers import IamAwsProvider

    full, relative = (
        known.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        known.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    )
    if not full and not relative:
        return None
    # The provider itself reads the token for this URI from the environment.
    provider = IamAwsProvider(full_uri=full, relative_uri=relative, http_client=_local_pool())
    return _checked(provider, "the container's role", full or relative or "")


def _machine(known: Mapping[str, str], ca_file: Path | None) -> "tuple[Provider, str] | None":
    from minio.credentials.providers import IamAwsProvider

    named = known.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "")
    if known.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true" or not (named or _is_amazons_machine()):
        return None
    service = (named or _METADATA).rstrip("/")
    provider = IamAwsProvider(custom_endpoint=service, http_client=_local_pool())
    return _checked(provider, "the machine's role", service)


def _is_amazons_machine() -> bool:
    try:
        return _VENDOR_FILE.read_text("utf-8").startswith("Amazon EC2")
    except OSError:
        return False


def _local_pool() -> Any:
    import urllib3

    return pool(timeout=urllib3.Timeout(_METADATA_SECONDS), retries=urllib3.Retry(2))


def _checked(provider: "Provider", source: str, place: str) -> "tuple[Provider, str]":
    """Wraps a provider so that its errors name the source of the credentials and contain no token."""
    from minio.credentials.providers import Provider

    class Checked(Provider):
        def retrieve(self) -> Any:
            return _retrieved(provider.retrieve, source, place)

    return Checked(), source


def _retrieved(retrieve: Callable[[], Any], source: str, place: str) -> Any:
    import urllib3

    try:
        return retrieve()
    except (urllib3.exceptions.HTTPError, TimeoutError) as error:
        raise TransientError(
            f"no credentials from {source}: cannot reach {place} ({type(error).__name__})",
            "check the network connection to that address",
        ) from error
    except (ValueError, OSError, KeyError, SyntaxError, configparser.Error) as error:
        raise StoreError(f"no credentials from {source}: {_without_query(error)}; correct it") from error


def _without_query(error: Exception) -> str:
    """Returns an error's text without the query strings of URLs, which contain the token."""
    return re.sub(r"\?\S+", "", " ".join(str(error).split()))[:300] or type(error).__name__
