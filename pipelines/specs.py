"""`frcnn pipeline push-spec` and `paste-spec`: specs for the single-line field of Kubeflow's UI."""

import argparse
import sys
from pathlib import Path

from frcnn.errors import UsageError


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommands and their flags."""
    push = commands.add_parser("push-spec", help="validate a spec, upload it to S3, and print its URI")
    push.add_argument("spec", type=Path, metavar="FILE", help="experiment or conversion spec")
    push.add_argument("uri", metavar="URI", help="destination, s3://bucket/name.txt")
    paste = commands.add_parser(
        "paste-spec", help="validate a spec and print it on one line without comments"
    )
    paste.add_argument("spec", type=Path, metavar="FILE", help="experiment or conversion spec")


def run(args: argparse.Namespace) -> None:
    """Runs the subcommand.

    Args:
        args: Parsed flags.

    Raises:
        UsageError: The URI is not that of an S3 object.
        SpecError: The spec has errors.
        StoreError: S3 is unreachable or denies access.
    """
    from frcnn.spec.one_line import as_line
    from pipelines.spec_key import spec_for_cluster

    if args.command == "paste-spec":
        sys.stdout.write(f"{as_line(spec_for_cluster(args.spec))}\n")
        return
    bucket, _, name = args.uri.removeprefix("s3://").partition("/")
    if not args.uri.startswith("s3://") or not bucket or not name or name.endswith("/"):
        raise UsageError(f"{args.uri}: expected s3://bucket/name.txt, the URI of a file")
    text = spec_for_cluster(args.spec)
    from frcnn.storage import Store

    Store.from_environment().write(args.uri, text.encode())
    sys.stdout.write(f"{args.uri}\n")
