r"""`python -m pipelines.mpijob`: trains on many nodes and follows the job; or prints its manifest.

Everything after `--` is the command line of one training process:

  python -m pipelines.mpijob --name kitti --image my.registry/frcnn-train:0.1.0 --workers 4 --gpus 8 \
      --cpu 48 --memory 400Gi -- frcnn train -e spec.txt -r s3://frcnn/runs/kitti
"""

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence

from frcnn.errors import UsageError
from pipelines.mpijob.job import Owner, Resources, S3Access, Toleration, TrainingJob

# What Kubeflow tells a step about its own pod.
_POD_NAME, _POD_UID = "KFP_POD_NAME", "KFP_POD_UID"


def parser() -> argparse.ArgumentParser:
    """The flags."""
    flags = argparse.ArgumentParser(
        prog="python -m pipelines.mpijob",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = flags.add_argument
    add("--name", required=True, help="the same each time: a job of that name and these settings is joined")
    add("--namespace", help="default: this pod's own, or the kubeconfig's")
    add("--image", required=True, help="training image, with sshd and mpirun")
    add("--workers", type=int, required=True, metavar="N", help="worker pods")
    add("--slots", type=int, metavar="N", help="processes a worker (default: its GPUs, or 1)")
    add("--cpu", default="4", metavar="Q", help="of a worker (default: 4)")
    add("--memory", default="16Gi", metavar="Q", help="of a worker (default: 16Gi)")
    add("--gpus", type=int, default=0, metavar="N", help="of a worker (default: 0)")
    add("--gpu_resource", default="nvidia.com/gpu", metavar="NAME", help="default: nvidia.com/gpu")
    add("--shared_memory", default="2Gi", metavar="Q", help="size of /dev/shm (default: 2Gi)")
    add("--service_account", default="frcnn-training", metavar="NAME", help="of the training's pods")
    add("--pull_secret", action="append", default=[], metavar="NAME", help="access to the registry")
    add("--volume", action="append", default=[], metavar="PATH=CLAIM", help="volume that every pod mounts")
    add("--s3_endpoint", metavar="URL", help="S3 server; needs --s3_secret")
    add("--s3_secret", metavar="NAME", help="secret with its keys, accesskey and secretkey")
    add("--env", action="append", default=[], metavar="NAME=VALUE", help="variable of every process")
    add("--node_selector", action="append", default=[], metavar="LABEL=VALUE", help="nodes of the workers")
    add("--toleration", action="append", default=[], metavar="KEY[=VALUE][:EFFECT]", help="of the workers")
    add("--priority_class", metavar="NAME")
    add("--label", action="append", default=[], metavar="KEY=VALUE", help="such as a queue's")
    add("--backoff_limit", type=int, default=2, metavar="N", help="restarts of the launcher (default: 2)")
    add("--deadline", type=int, metavar="SECONDS", help="the training may take (default: any time)")
    add("--network_interface", metavar="NAME", help="that MPI uses, such as eth0")
    add("--dry_run", action="store_true", help="print the manifest; create nothing")
    add("training", nargs="+", metavar="-- COMMAND", help="command line of one process")
    return flags


def job_of(args: argparse.Namespace, namespace: str) -> TrainingJob:
    """The job that the flags describe.

    Raises:
        UsageError: A flag has not the form that it needs.
    """
    if bool(args.s3_endpoint) != bool(args.s3_secret):
        raise UsageError("--s3_endpoint and --s3_secret belong together: give both or none")
    pod, uid = os.environ.get(_POD_NAME), os.environ.get(_POD_UID)
    return TrainingJob(
        name=args.name,
        namespace=namespace,
        image=args.image,
        training=tuple(args.training),
        workers=args.workers,
        worker=Resources(args.cpu, args.memory, args.gpus, args.gpu_resource, args.shared_memory),
        slots_per_worker=args.slots or args.gpus or 1,
        image_pull_secrets=tuple(args.pull_secret),
        service_account=args.service_account,
        backoff_limit=args.backoff_limit,
        deadline_seconds=args.deadline,
        environment=_pairs("--env", args.env),
        s3=S3Access(args.s3_endpoint, args.s3_secret) if args.s3_endpoint else None,
        volumes=_pairs("--volume", args.volume),
        node_selector=_pairs("--node_selector", args.node_selector),
        tolerations=tuple(_toleration(text) for text in args.toleration),
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


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 trained, 1 failed, 2 wrong flags, 130 Ctrl-C, 143 SIGTERM."""
    from frcnn.cli import faults
    from frcnn.runtime.logs import setup_logging

    args = parser().parse_args(argv)
    setup_logging(verbose=False, log_file=None)
    logging.getLogger("pipelines").setLevel(logging.INFO)
    try:
        _show(args) if args.dry_run else _run(args)
    except (Exception, KeyboardInterrupt) as error:
        return faults.report(error, verbose=False)
    return 0


def _show(args: argparse.Namespace) -> None:
    import yaml

    from frcnn.errors import SpecError
    from pipelines.mpijob.manifest import manifest
    from pipelines.mpijob.rules import problems

    document = manifest(job_of(args, args.namespace or "default"))
    sys.stdout.write(yaml.safe_dump(document, sort_keys=False))
    if found := list(problems(document)):
        raise SpecError(f"mpijob/{args.name}", found)


def _run(args: argparse.Namespace) -> None:
    from pipelines.mpijob.cluster import Cluster, connect
    from pipelines.mpijob.follow import run_job

    api, own_namespace = connect()
    with api:
        namespace = args.namespace or own_namespace
        run_job(Cluster(api, namespace), job_of(args, namespace))


if __name__ == "__main__":
    sys.exit(main())
