"""Command line flags of a training job: pod settings of a cluster, and settings of one run."""

import argparse
import os
import re
from collections.abc import Sequence

from components.mpijob.job import Owner, Resources, S3Access, Toleration, TrainingJob
from frcnn.errors import UsageError

# Environment variables with which Kubeflow identifies the step's own pod.
_POD_NAME, _POD_UID = "KFP_POD_NAME", "KFP_POD_UID"

_QUANTITY = re.compile(r"(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)?")


def add_pod_flags(flags: argparse.ArgumentParser) -> None:
    """Adds the flags for the pods of any training on this cluster."""
    add = flags.add_argument
    add("--slots", type=int, metavar="N", help="processes per worker (default: its number of GPUs, or 1)")
    add("--cpu", type=_quantity, default="4", metavar="Q", help="CPUs per worker (default: 4)")
    add("--memory", type=_quantity, default="16Gi", metavar="Q", help="memory per worker (default: 16Gi)")
    add(
        "--gpu_resource",
        default="nvidia.com/gpu",
        metavar="NAME",
        help="resource name of a GPU (default: nvidia.com/gpu)",
    )
    add("--shared_memory", type=_quantity, default="2Gi", metavar="Q", help="size of /dev/shm (default: 2Gi)")
    add("--service_account", default="frcnn-training", metavar="NAME", help="account of the training pods")

    def add_list(flag: str, metavar: str, text: str) -> None:
        add(flag, action="append", default=[], metavar=metavar, help=f"{text}; repeatable")

    add_list("--pull_secret", "NAME", "secret with access to the image registry")
    add_list("--volume", "PATH=CLAIM", "volume claim to mount in every pod")
    add_list("--env", "NAME=VALUE", "environment variable of every process")
    add_list("--node_selector", "LABEL=VALUE", "label that nodes for workers must have")
    add_list("--toleration", "KEY[=VALUE][:EFFECT]", "node taint that workers tolerate")
    add_list("--launcher_node_selector", "LABEL=VALUE", "label that the node for the launcher must have")
    add_list("--launcher_toleration", "KEY[=VALUE][:EFFECT]", "node taint that the launcher tolerates")
    add("--priority_class", metavar="NAME", help="priority class of the pods")
    add_list("--label", "KEY=VALUE", "label of the job and its pods, for example for a queue")
    add("--backoff_limit", type=int, default=2, metavar="N", help="restarts of the launcher (default: 2)")
    add("--deadline", type=int, metavar="SECONDS", help="longest duration of the training (default: none)")
    add("--network_interface", metavar="NAME", help="network interface for MPI, for example eth0")


def job_of(
    args: argparse.Namespace,
    *,
    name: str,
    namespace: str,
    image: str,
    training: Sequence[str],
    workers: int,
    gpus: int,
    s3: S3Access | None = None,
) -> TrainingJob:
    """Builds a training job from flags. The pod of the current step becomes its owner.

    Args:
        args: Parsed flags of `add_pod_flags`.
        name: Name of the job.
        namespace: Namespace of the job.
        image: Training image.
        training: Command line of one process.
        workers: Number of worker pods.
        gpus: Number of GPUs per worker pod.
        s3: S3 server and secret. `None` adds no S3 variables.

    Returns:
        Training job.

    Raises:
        UsageError: The value of a flag has the wrong format.
    """
    pod, uid = os.environ.get(_POD_NAME), os.environ.get(_POD_UID)
    return TrainingJob(
        name=name,
        namespace=namespace,
        image=image,
        training=tuple(training),
        workers=workers,
        worker=Resources(args.cpu, args.memory, gpus, args.gpu_resource, args.shared_memory),
        slots_per_worker=args.slots or gpus or 1,
        image_pull_secrets=tuple(args.pull_secret),
        service_account=args.service_account,
        backoff_limit=args.backoff_limit,
        deadline_seconds=args.deadline,
        environment=_pairs("--env", args.env),
        s3=s3,
        volumes=_pairs("--volume", args.volume),
        node_selector=_pairs("--node_selector", args.node_selector),
        tolerations=tuple(_toleration(text) for text in args.toleration),
        launcher_node_selector=_pairs("--launcher_node_selector", args.launcher_node_selector),
        launcher_tolerations=tuple(_toleration(text) for text in args.launcher_toleration),
        priority_class=args.priority_class,
        labels=_pairs("--label", args.label),
        owner=Owner(pod, uid) if pod and uid else None,
        network_interface=args.network_interface,
    )


def _pairs(flag: str, texts: Sequence[str]) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise UsageError(f"{flag} {text}: expected NAME=VALUE")
    return dict(text.split("=", 1) for text in texts)


def _toleration(text: str) -> Toleration:
    form = re.fullmatch(r"([^=:]+)(?:=([^:]*))?(?::(NoSchedule|PreferNoSchedule|NoExecute))?", text)
    if form is None:
        raise UsageError(
            f"--toleration {text}: expected KEY[=VALUE][:EFFECT], EFFECT one of NoSchedule, "
            "PreferNoSchedule, NoExecute"
        )
    return Toleration(form[1], form[2], form[3])  # type: ignore[arg-type]


def _quantity(text: str) -> str:
    """Checks a quantity of Kubernetes, such as `500m` or `16Gi`, and returns it."""
    if not _QUANTITY.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a quantity such as 4, 500m or 16Gi")
    return text
