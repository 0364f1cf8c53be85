"""`frcnn spec check` and `frcnn spec show`: check specs, or show all effective values."""

import argparse
import sys
from pathlib import Path

from frcnn.cli.spec_flags import add_file_marker, add_set_flag
from frcnn.errors import SpecError, UsageError

HELP = "Check specs, or show all effective values of a spec."
EXAMPLES = """\
  frcnn spec check examples/specs/*.txt          lists all errors with line and column
  frcnn spec show examples/specs/kitti_resnet18.txt
  frcnn spec show spec.txt --set training_config.num_epochs=5 --set model_config.arch=resnet:34
  frcnn spec new --data my_data -o runs/mine     writes specs that fit a data set; see frcnn spec new --help
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.add_argument("action", choices=("check", "show"), help="action")
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="experiment or dataset_convert specs"
    )
    add_file_marker(parser)
    add_set_flag(parser)
    parser.add_argument("--show_keys", action="store_true", help="show keys instead of asterisks")


def run(args: argparse.Namespace) -> None:
    """Checks or shows specs of either kind, detected by their fields.

    Raises:
        SpecError: One file has errors; the message lists all of them.
        UsageError: Several files have errors.
    """
    faults = []
    for path in args.files:
        try:
            text = _check(path, args) if args.action == "check" else _show(path, args)
            sys.stdout.write(text)
        except SpecError as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise UsageError("\n".join(map(str, faults)))


def _check(path: Path, args: argparse.Namespace) -> str:
    from frcnn.spec.load import load_any
    from frcnn.spec.schema.experiment import Experiment

    spec = load_any(path, args.settings).spec
    if not isinstance(spec, Experiment):
        data_set = "KITTI" if spec.kitti_config is not None else "COCO"
        return f"{path}: OK (dataset_convert spec of a {data_set} data set)\n"
    classes = f"{len(spec.class_names)} class{'es' if len(spec.class_names) != 1 else ''}"
    names = ", ".join(spec.class_names)
    return f"{path}: OK (experiment spec, {spec.model_config.arch}, {classes}: {names})\n"


def _show(path: Path, args: argparse.Namespace) -> str:
    from frcnn.spec.load import load_any
    from frcnn.spec.show import render

    loaded = load_any(path, args.settings)
    return f"# {path}\n{render(loaded.spec, loaded.positions, show_keys=args.show_keys)}"
