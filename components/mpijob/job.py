"""What there is to say about a training on many nodes, before any Kubernetes words are used."""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from typing import Literal

# The training image's user and where its sshd looks for keys. Elsewhere than in /root, since no pod of
# ours runs as root.
USER = 1000
HOME = "/home/mpiuser"
SSH_FOLDER = f"{HOME}/.ssh"
SSH_PORT = 2222

LONGEST_LABEL = 63  # RFC 1035


@dataclasses.dataclass(frozen=True)
class Resources:
    """What one pod asks for, request and limit alike: a pod that gets less than it asked is no use here.

    `cpu` and `memory` are Kubernetes quantities. `gpus` counts whole devices of the kind `gpu_resource`.
    `shared_memory` is the size of /dev/shm, which counts as memory of the pod.
    """

    cpu: str
    memory: str
    gpus: int = 0
    gpu_resource: str = "nvidia.com/gpu"
    shared_memory: str = "2Gi"


@dataclasses.dataclass(frozen=True)
class Toleration:
    """A taint that the workers put up with. Without `value` any value will do."""

    key: str
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


@dataclasses.dataclass(frozen=True)
class S3Access:
    """An S3 server, and the secret with the keys to it; the secret's content never passes through here."""

    endpoint: str
    secret: str
    access_key_field: str = "accesskey"
    secret_key_field: str = "secretkey"
    region: str = "us-east-1"


@dataclasses.dataclass(frozen=True)
class Owner:
    """The pod of the pipeline step that started the job: when it is deleted, the job goes with it."""

    name: str
    uid: str


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """A training by `workers` pods of `slots_per_worker` processes each, started by a launcher pod.

    Attributes:
        name: The job's; pods are called `<name>-worker-<i>` and `<name>-launcher-<random>`.
        image: With mpirun, an sshd for user 1000 on port 2222, and the training itself.
        training: Command line of one process; mpirun is put before it.
        worker: What each worker pod gets. With GPUs, one process a GPU is usual: slots_per_worker = gpus.
        launcher: What the launcher pod gets; it computes nothing.
        backoff_limit: How often a failed launcher is started again, before the job counts as failed.
        deadline_seconds: How long the launcher may run in all, None for ever.
        keep_seconds: How long the launcher's pod and its log stay after its end; the MPIJob itself stays.
        environment: Variables of every process. No secrets: those are `s3` and `secret_environment`.
        secret_environment: Variable -> (secret, key in it); the secret or key may be missing.
        volumes: Mount path -> persistent volume claim that every pod mounts there; user 1000 must be let in,
            and the volume be one that many nodes can mount.
        network_interface: Where MPI connects processes, such as eth0; None leaves it to MPI.
    """

    name: str
    namespace: str
    image: str
    training: tuple[str, ...]
    workers: int
    worker: Resources
    slots_per_worker: int = 1
    launcher: Resources = Resources(cpu="1", memory="1Gi", shared_memory="64Mi")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str = "default"
    backoff_limit: int = 2
    deadline_seconds: int | None = None
    keep_seconds: int = 24 * 3600
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
        """How many processes train."""
        return self.workers * self.slots_per_worker


def job_name(*parts: str, workers: int) -> str:
    """A name that Kubernetes takes and that is the same each time: what re-joins a job after a retry.

    `parts`, such as the pipeline run's name and the step's, are joined; characters that a DNS label may
    not have become `-`. What is too long is cut, and ends with a hash of the whole.
    """
    whole = "-".join(parts)
    label = re.sub(r"[^a-z0-9]+", "-", whole.lower()).strip("-")
    label = label if label[:1].isalpha() else f"job-{label}".rstrip("-")
    longest = LONGEST_LABEL - len(f"-worker-{workers - 1}")
    if len(label) <= longest and label == whole:
        return label
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{label[: longest - 9].rstrip('-')}-{digest}"
