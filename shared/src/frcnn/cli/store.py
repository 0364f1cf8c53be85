"""`frcnn store`: transfers folders to and from S3."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.storage.manifest import Manifest

HELP = "Store folders on S3 or a volume as artifacts: atomic, verified, resumable."
EXAMPLES = """\
  frcnn store push runs/records s3://bucket/records/kitti
  frcnn store pull s3://bucket/records/kitti records
  frcnn store ls s3://bucket/records/kitti       lists files with size and checksum
  frcnn store verify s3://bucket/records/kitti   reads all data and compares checksums
S3_ENDPOINT is the URL of the server (default: AWS). The access key is read from AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, or from the file AWS_SHARED_CREDENTIALS_FILE. See docs/storage.md for details.
`collect` removes all versions except the last two, once nobody can be reading them.
`pull` also accepts plain prefixes. A path on a volume works wherever an s3:// URI does.
"""


ACTIONS = {
    "push": ("FOLDER", "URI"),
    "pull": ("URI", "FOLDER"),
    "ls": ("URI",),
    "verify": ("URI",),
    "collect": ("URI",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.add_argument(
        "action",
        choices=tuple(ACTIONS),
        help="action: push FOLDER URI, pull URI FOLDER, ls URI, verify URI or collect URI",
    )
    parser.add_argument("places", nargs="+", metavar="PLACE", help="s3://bucket/name or a folder")


def run(args: argparse.Namespace) -> None:
    """Runs the action and prints the result.

    Raises:
        UsageError: The number of places is wrong for the action.
    """
    from frcnn.storage import Store

    expected = ACTIONS[args.action]
    if len(args.places) != len(expected):
        raise UsageError(
            f"store {args.action} takes {' and '.join(expected)}, found {len(args.places)} places"
        )
    store, first, last = Store.from_environment(), args.places[0], args.places[-1]
    if args.action == "push":
        _say(f"published {last}: {_contents(store.publish(Path(first), last))}")
    elif args.action == "pull":
        _say(f"{last} holds {first}: {_contents(store.fetch(first, Path(last)))}")
    elif args.action == "verify":
        _say(f"{first}: {_contents(store.verify(first))}, as published")
    elif args.action == "collect":
        _say(f"{first}: {_contents(store.collect(first))}; unused versions are removed once unread")
    else:
        _list(store.contents(first))


def _list(manifest: "Manifest") -> None:
    width = max(len(str(file.size)) for file in manifest.files)
    for file in sorted(manifest.files, key=lambda file: file.path):
        stored = manifest.objects[file.object]
        where = stored.expected_etag() if file.size == stored.size else f"within {stored.name}"
        _say(f"{file.size:>{width}}  {file.path}  {where}")


def _contents(manifest: "Manifest") -> str:
    count = len(manifest.files)
    return f"{count} file{'s' if count != 1 else ''}, {manifest.size / (1 << 20):.1f} MiB"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
