"""The flags of a training job: those of its pods, which a cluster's owner knows, and those of one run."""

import argparse
import os
import re
from collections.abc import Sequence

from components.mpijob.job import Owner, Resources, S3Access, Toleration, TrainingJob
from frcnn.errors import UsageError

# What Kubeflow tells a step about its own pod.
_POD_NAME, _POD_UID = "KFP_POD_NAME", "KFP_POD_UID"


def add_pod_flags(flags: argparse.ArgumentParser) -> None:
    """What the pods of any training on this cluster are like."""
    add = flags.add_argument
    add("--slots", type=int, metavar="N", help="processes a worker (default: its GPUs, or 1)")
    add("--cpu", default="4", metavar="Q", help="of a worker (default: 4)")
    add("--memory", default="16Gi", metavar="Q", help="of a worker (default: 16Gi)")
    add("--gpu_resource", default="nvidia.com/gpu", metavar="NAME", help="default: nvidia.com/gpu")
    add("--shared_memory", default="2Gi", metavar="Q", help="size of /dev/shm (default: 2Gi)")
    add("--service_account", default="frcnn-training", metavar="NAME", help="of the training's pods")
    add("--pull_secret", action="append", default=[], metavar="NAME", help="access to the registry")
    add("--volume", action="append", default=[], metavar="PATH=CLAIM", help="volume that every pod mounts")
    add("--env", action="append", default=[], metavar="NAME=VALUE", help="variable of every process")
    add("--node_selector", action="append", default=[], metavar="LABEL=VALUE", help="nodes of the workers")
    add("--toleration", action="append", default=[], metavar="KEY[=VALUE][:EFFECT]", help="of the workers")
    add(
        "--launcher_node_selector", action="append", default=[], metavar="LABEL=VALUE", help="of the launcher"
    )
    add("--launcher_toleration", action="append", default=[], metavar="KEY[=VALUE][:EFFECT]", help="likewise")
    add("--priority_class", metavar="NAME")
    add("--label", action="append", default=[], metavar="KEY=VALUE", help="such as a queue's")
    add("--backoff_limit", type=int, default=2, metavar="N", help="restarts of the launcher (default: 2)")
    add("--deadline", type=int, metavar="SECONDS", help="the training may take (default: any time)")
    add("--network_interface", metavar="NAME", help="that MPI uses, such as eth0")


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
    """The job of these pods, `args` being what `add_pod_flags` describes; the step's own pod owns it.

    Raises:
        UsageError: A flag has not the form that it needs.
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
