"""`frcnn pipeline push-spec` and `paste-spec`: a spec for the one-line text field of Kubeflow's UI."""

import argparse
import sys
from pathlib import Path

from frcnn.errors import UsageError


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the sub-commands and their flags."""
    push = commands.add_parser("push-spec", help="check a spec, put it on S3, and print its URI")
    push.add_argument("spec", type=Path, metavar="FILE", help="experiment or conversion spec")
    push.add_argument("uri", metavar="URI", help="s3://bucket/name.txt")
    paste = commands.add_parser("paste-spec", help="check a spec, and print it as one line without comments")
    paste.add_argument("spec", type=Path, metavar="FILE", help="experiment or conversion spec")


def run(args: argparse.Namespace) -> None:
    """Runs the sub-command.

    Raises:
        UsageError: The URI names no object on S3.
        SpecError: The spec has faults; all of them are named.
        StoreError: S3 is out of reach, or refuses.
    """
    from frcnn.spec.load import load_any
    from frcnn.spec.one_line import as_line

    if args.command == "paste-spec":
        sys.stdout.write(f"{as_line(load_any(args.spec).spec.text)}\n")
        return
    bucket, _, name = args.uri.removeprefix("s3://").partition("/")
    if not args.uri.startswith("s3://") or not bucket or not name or name.endswith("/"):
        raise UsageError(f"{args.uri}: expected s3://bucket/name.txt, the place of one file")
    text = load_any(args.spec).spec.text
    from frcnn.storage import Store

    Store.from_environment().write(args.uri, text.encode())
    sys.stdout.write(f"{args.uri}\n")
