"""A Kubernetes control plane on this machine: etcd, the real API server, real controllers; no nodes.

What nodes would do, tests do themselves: `Cluster.kubelet` writes the status of pods.
"""

import base64
import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "tests/kube/server/go.mod"
READY_SECONDS = 120.0
ADMIN = "admin"


def programs() -> Path:
    """Returns the folder that `scripts/build_kube.sh` builds to; skips the tests without it."""
    (version,) = re.findall(r"^\s*k8s\.io/kubernetes (v\S+)", MODULE.read_text(), re.MULTILINE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("FRCNN_KUBE") or cache / "frcnn/kube" / version)
    for name in ("kube-apiserver", "kube-controller-manager"):
        if not (folder / name).is_file():
            pytest.skip(f"no {name} in {folder}: scripts/build_kube.sh builds it, where Go is")
    if shutil.which("etcd") is None:
        pytest.skip("no etcd here: install Debian's etcd-server")
    return folder


class ControlPlane:
    """The running programs, and clients of them."""

    def __init__(self, folder: Path, port: int, token: str) -> None:
        """`folder` holds the server's certificate."""
        self.folder, self.url = folder, f"https://127.0.0.1:{port}"
        self.ca_file = folder / "certificates/apiserver.crt"
        self._token = token
        self.admin = self.client(token)

    def client(self, token: str) -> client.ApiClient:
        """Makes a client that shows this token."""
        settings = client.Configuration(host=self.url)
        settings.ssl_ca_cert = str(self.ca_file)
        settings.api_key = {"authorization": f"Bearer {token}"}
        return client.ApiClient(settings)

    def kubeconfig(self, namespace: str = "default", token: str = "") -> Path:
        """Writes a kubeconfig for programs that want one."""
        path = self.folder / f"kubeconfig-{secrets.token_hex(4)}"
        context = {"cluster": "it", "user": "me", "namespace": namespace}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "it", "cluster": {"server": self.url, "certificate-authority": str(self.ca_file)}}
            ],
            "users": [{"name": "me", "user": {"token": token or self._token}}],
            "contexts": [{"name": "it", "context": context}],
            "current-context": "it",
        }
        path.write_text(yaml.safe_dump(content))
        return path

    def namespace(self, name: str, labels: dict[str, str] | None = None) -> str:
        """Makes a namespace, and waits for its default account."""
        core = client.CoreV1Api(self.admin)
        core.create_namespace({"metadata": {"name": name, "labels": labels or {}}})
        wait_until(lambda: found(core.read_namespaced_service_account, "default", name))
        return name

    def token_of(self, account: str, namespace: str) -> str:
        """Returns a token of a service account, as the kubelet would mount it."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
        made = client.CoreV1Api(self.admin).create_namespaced_service_account_token(account, namespace, body)
        return str(made.status.token)

    def apply(self, document: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Applies an object with strict validation of its fields."""
        group = document["apiVersion"]
        base = f"/api/{group}" if "/" not in group else f"/apis/{group}"
        plural = f"{document['kind'].lower()}{'es' if document['kind'].endswith('y') else 's'}"
        plural = plural.replace("policyes", "policies")
        namespace = document["metadata"].get("namespace")
        place = f"/namespaces/{namespace}" if namespace else ""
        query = [("fieldManager", "tests"), ("fieldValidation", "Strict"), ("force", "true")]
        query += [("dryRun", "All")] if dry_run else []
        response = self.admin.call_api(
            f"{base}{place}/{plural}/{document['metadata']['name']}",
            "PATCH",
            query_params=query,
            header_params={"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"},
            body=document,
            auth_settings=["BearerToken"],
            _preload_content=False,
        )
        answer: dict[str, Any] = json.loads(response[0].data)
        return answer

    def set_status(self, namespace: str, pod: str, status: dict[str, Any]) -> None:
        """Plays the kubelet: writes a pod's status."""
        core = client.CoreV1Api(self.admin)
        core.patch_namespaced_pod_status(pod, namespace, {"status": status})


def found(read: Any, *arguments: Any) -> Any:
    """Calls a read of the client; None for what is not there."""
    try:
        return read(*arguments)
    except ApiException as error:
        if error.status == 404:
            return None
        raise


def wait_until(condition: Any, seconds: float = 60.0, what: str = "") -> Any:
    """Waits for something to hold; returns it."""
    until = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds:.0f} s: {what or condition}")
        time.sleep(0.1)
    return result


@contextlib.contextmanager
def running(folder: Path) -> Iterator[ControlPlane]:
    """A control plane that ends with the block."""
    where = programs()
    etcd, peer, api, controllers = _free_ports(4)
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f'{token},{ADMIN},{ADMIN},"system:masters"\n')
    _write_keys(folder)
    with contextlib.ExitStack() as stack:
        store = f"http://127.0.0.1:{etcd}"
        start = lambda name, command: stack.enter_context(_program(folder, name, command))  # noqa: E731
        start(
            "etcd",
            ["etcd", f"--data-dir={folder}/etcd", f"--listen-client-urls={store}",
             f"--advertise-client-urls={store}",
             f"--listen-peer-urls=http://127.0.0.1:{peer}", "--log-level=error", "--unsafe-no-fsync"],
        )  # fmt: skip
        start(
            "kube-apiserver",
            [str(where / "kube-apiserver"), f"--etcd-servers={store}", f"--secure-port={api}",
             "--bind-address=127.0.0.1", f"--cert-dir={folder}/certificates", "--authorization-mode=RBAC",
             f"--token-auth-file={folder}/tokens.csv", "--service-cluster-ip-range=10.0.0.0/24",
             f"--service-account-key-file={folder}/accounts.pub",
             f"--service-account-signing-key-file={folder}/accounts.key",
             "--service-account-issuer=https://kubernetes.default.svc"],
        )  # fmt: skip
        certificate = folder / "certificates/apiserver.crt"
        wait_until(certificate.exists, READY_SECONDS, _end_of_log(folder, "kube-apiserver"))
        plane = ControlPlane(folder, api, token)
        wait_until(lambda: _is_ready(plane), READY_SECONDS, "the API server's readiness")
        start(
            "kube-controller-manager",
            [str(where / "kube-controller-manager"), f"--kubeconfig={plane.kubeconfig()}",
             f"--service-account-private-key-file={folder}/accounts.key", f"--root-ca-file={certificate}",
             "--leader-elect=false", f"--secure-port={controllers}", f"--cert-dir={folder}/controllers",
             "--bind-address=127.0.0.1"],
        )  # fmt: skip
        yield plane


@contextlib.contextmanager
def operator(plane: ControlPlane) -> Iterator[None]:
    """mpi-operator itself, where it was built; the tests that need it are skipped otherwise."""
    path = programs() / "mpi-operator"
    if not path.is_file():
        pytest.skip("no mpi-operator: MPI_OPERATOR=<its checkout> scripts/build_kube.sh builds it")
    plane.namespace("mpi-operator")
    command = [
        str(path),
        f"-kubeConfig={plane.kubeconfig()}",
        "-lock-namespace=mpi-operator",
        "-monitoring-port=0",
    ]
    with _program(plane.folder, "mpi-operator", command):
        yield


@contextlib.contextmanager
def _program(folder: Path, name: str, command: list[str]) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _is_ready(plane: ControlPlane) -> bool:
    try:
        client.CoreV1Api(plane.admin).read_namespace("kube-system")
    except Exception:
        return False
    return True


def _write_keys(folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "accounts.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    (folder / "accounts.pub").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(contextlib.closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _end_of_log(folder: Path, name: str) -> str:
    path = folder / f"{name}.log"
    return path.read_text(errors="replace")[-2000:] if path.exists() else name


def decoded(secret: Any) -> dict[str, str]:
    """Returns the content of a Secret."""
    return {key: base64.b64decode(value).decode() for key, value in (secret.data or {}).items()}
