"""Description of a training on several nodes, independent of Kubernetes manifests."""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from typing import Literal

# User of the training image, and the folder where its sshd expects keys. It is outside /root, because no
# pod runs as root.
USER = 1000
HOME = "/home/mpiuser"
SSH_FOLDER = f"{HOME}/.ssh"
SSH_PORT = 2222

LONGEST_LABEL = 63  # RFC 1035


@dataclasses.dataclass(frozen=True)
class Resources:
    """Resources of one pod, used as both request and limit.

    Attributes:
        cpu: CPUs, a Kubernetes quantity.
        memory: Memory, a Kubernetes quantity.
        gpus: Number of whole GPUs.
        gpu_resource: Kubernetes resource name of a GPU.
        shared_memory: Size of /dev/shm, which counts as memory of the pod.
    """

    cpu: str
    memory: str
    gpus: int = 0
    gpu_resource: str = "nvidia.com/gpu"
    shared_memory: str = "2Gi"


@dataclasses.dataclass(frozen=True)
class Toleration:
    """Node taint that pods tolerate.

    Attributes:
        key: Key of the taint.
        value: Value of the taint. `None` matches any value.
        effect: Effect of the taint. `None` matches all effects.
    """

    key: str
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


@dataclasses.dataclass(frozen=True)
class S3Access:
    """S3 server and the secret that holds its keys. The content of the secret is never read here.

    Attributes:
        endpoint: URL of the server.
        secret: Name of the secret, which holds them as `accesskey` and `secretkey`.
    """

    endpoint: str
    secret: str


@dataclasses.dataclass(frozen=True)
class Owner:
    """Pod of the pipeline step that started the job. The cluster deletes the job after this pod.

    Attributes:
        name: Name of the pod.
        uid: UID of the pod.
    """

    name: str
    uid: str


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """Training by several worker pods with several processes each, started by a launcher pod.

    Attributes:
        name: Name of the job. Its pods are `<name>-worker-<i>` and `<name>-launcher-<random>`.
        namespace: Namespace of the job.
        image: Image with mpirun, an sshd for user 1000 on port 2222, and the training.
        training: Command line of one process; mpirun is put before it.
        workers: Number of worker pods.
        worker: Resources of each worker pod.
        slots_per_worker: Processes per worker pod, usually one per GPU.
        image_pull_secrets: Names of secrets with access to the registry.
        service_account: Service account of the pods.
        backoff_limit: Number of restarts of a failed launcher before the job fails.
        deadline_seconds: Longest total duration of the launcher. `None` sets no limit.
        environment: Variables of every process; no secrets, see `s3` and `secret_environment`.
        secret_environment: Variable -> (secret, key in the secret). Secret or key may be missing.
        s3: S3 server and secret.
        volumes: Mount path -> persistent volume claim, mounted in every pod. User 1000 needs access, and
            several nodes must be able to mount the volume.
        node_selector: Labels that nodes for workers must have.
        tolerations: Taints that workers tolerate.
        launcher_node_selector: Labels that the node for the launcher must have.
        launcher_tolerations: Taints that the launcher tolerates.
        priority_class: Priority class of the pods.
        labels: Labels of the job and its pods.
        owner: Pod that owns the job.
        network_interface: Network interface for MPI, for example eth0. `None` lets MPI choose.
    """

    name: str
    namespace: str
    image: str
    training: tuple[str, ...]
    workers: int
    worker: Resources
    slots_per_worker: int = 1
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str = "default"
    backoff_limit: int = 2
    deadline_seconds: int | None = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    secret_environment: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    s3: S3Access | None = None
    volumes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    node_selector: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    launcher_node_selector: Mapping[str, str] = dataclasses.field(default_factory=dict)
    launcher_tolerations: tuple[Toleration, ...] = ()
    priority_class: str | None = None
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    owner: Owner | None = None
    network_interface: str | None = None

    @property
    def processes(self) -> int:
        """Total number of training processes."""
        return self.workers * self.slots_per_worker


def job_name(*parts: str, workers: int) -> str:
    """Builds a reproducible job name, so that a retry of the step joins the same job.

    Characters that are invalid in a DNS label become `-`. Names that are changed or too long end with a
    hash of the original.

    Args:
        parts: Strings to join, for example the name of the pipeline run and of the step.
        workers: Number of worker pods. Their names must fit into a DNS label, too.

    Returns:
        Valid name of a job.
    """
    whole = "-".join(parts)
    label = re.sub(r"[^a-z0-9]+", "-", whole.lower()).strip("-")
    label = label if label[:1].isalpha() else f"job-{label}".rstrip("-")
    longest = LONGEST_LABEL - len(f"-worker-{workers - 1}")
    if len(label) <= longest and label == whole:
        return label
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{label[: longest - 9].rstrip('-')}-{digest}"
