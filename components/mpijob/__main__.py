r"""`python -m components.mpijob`: runs a training on several nodes, or prints its manifest.

Everything after `--` is the command line of one training process:

  python -m components.mpijob --name kitti --image my.registry/frcnn-train:0.1.0 --workers 4 --gpus 8 \
      --cpu 48 --memory 400Gi -- frcnn train -e spec.txt -r s3://frcnn/runs/kitti
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from components.mpijob.flags import add_pod_flags, job_of
from components.mpijob.job import S3Access, TrainingJob
from frcnn.errors import UsageError


def parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line."""
    flags = argparse.ArgumentParser(
        prog="python -m components.mpijob",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = flags.add_argument
    add("--name", required=True, help="name of the job; a job with this name and the same settings is joined")
    add("--namespace", help="namespace of the job (default: that of this pod, or of the kubeconfig)")
    add("--image", required=True, help="training image that contains sshd and mpirun")
    add("--workers", type=int, required=True, metavar="N", help="number of worker pods")
    add("--gpus", type=int, default=0, metavar="N", help="GPUs per worker pod (default: 0)")
    add("--s3_endpoint", metavar="URL", help="URL of the S3 server; requires --s3_secret")
    add("--s3_secret", metavar="NAME", help="secret that holds the S3 keys as accesskey and secretkey")
    add_pod_flags(flags)
    add("--dry_run", action="store_true", help="print the manifest without creating the job")
    add("training", nargs="+", metavar="-- COMMAND", help="command line of one training process")
    return flags


def _job(args: argparse.Namespace, namespace: str) -> TrainingJob:
    """Returns the job that the flags describe, or raises `UsageError`."""
    if bool(args.s3_endpoint) != bool(args.s3_secret):
        raise UsageError(
            "--s3_endpoint and --s3_secret must be given together. Add the missing one, or omit both."
        )
    return job_of(
        args,
        name=args.name,
        namespace=namespace,
        image=args.image,
        training=args.training,
        workers=args.workers,
        gpus=args.gpus,
        s3=S3Access(args.s3_endpoint, args.s3_secret) if args.s3_endpoint else None,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Command line arguments. `None` uses those of the process.

    Returns:
        Exit code: 0 training succeeded, 1 failed, 2 wrong flags, 130 Ctrl-C, 143 SIGTERM.
    """
    from frcnn.console import exit_codes
    from frcnn.console.logs import setup_logging

    args = parser().parse_args(argv)
    setup_logging(verbose=False, log_file=None)
    logging.getLogger("components").setLevel(logging.INFO)
    try:
        _show(args) if args.dry_run else _run(args)
    except (Exception, KeyboardInterrupt) as error:
        return exit_codes.report(error, verbose=False)
    return 0


def _show(args: argparse.Namespace) -> None:
    import yaml

    from components.mpijob.manifest import manifest
    from components.mpijob.validate import problems
    from frcnn.errors import SpecError

    document = manifest(_job(args, args.namespace or "default"))
    sys.stdout.write(yaml.safe_dump(document, sort_keys=False))
    if found := list(problems(document)):
        raise SpecError(f"mpijob/{args.name}", found)


def _run(args: argparse.Namespace) -> None:
    from components.mpijob.cluster import Cluster
    from components.mpijob.connection import connect
    from components.mpijob.supervise import run_job

    api, own_namespace = connect()
    with api:
        namespace = args.namespace or own_namespace
        run_job(Cluster(api, namespace), _job(args, namespace))


if __name__ == "__main__":
    sys.exit(main())
