"""`frcnn store`: folders to S3 and back."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.storage.manifest import Manifest

HELP = "Keep folders on S3 (or on a volume) as artifacts: whole, checked, taken up again when cut off."
EXAMPLES = """\
  frcnn store push runs/records s3://bucket/records/kitti
  frcnn store pull s3://bucket/records/kitti records
  frcnn store ls s3://bucket/records/kitti       files, with size and checksum
  frcnn store verify s3://bucket/records/kitti   reads all of it and compares checksums
The server is named by S3_ENDPOINT (an URL; without it, AWS), keys come from AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY or from the file AWS_SHARED_CREDENTIALS_FILE; docs/storage.md has the rest.
`collect` removes versions that are neither the last nor the one before, once nobody can be reading them.
`pull` takes plain prefixes too. A path of a volume does wherever s3:// stands.
"""


ACTIONS = {
    "push": ("FOLDER", "URI"),
    "pull": ("URI", "FOLDER"),
    "ls": ("URI",),
    "verify": ("URI",),
    "collect": ("URI",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with what."""
    parser.add_argument(
        "action",
        choices=tuple(ACTIONS),
        help="push FOLDER URI, pull URI FOLDER, ls URI, verify URI or collect URI",
    )
    parser.add_argument("places", nargs="+", metavar="PLACE", help="s3://bucket/name, or a folder")


def run(args: argparse.Namespace) -> None:
    """Does one of them, and says what came of it.

    Raises:
        UsageError: More or fewer places than the action takes.
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
        _say(f"{first}: {_contents(store.collect(first))}; what is no longer used is gone or will be")
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
