"""`frcnn spec`: checks specs, shows all effective values, or writes specs for a data set."""

import argparse
import sys
from pathlib import Path

from frcnn.cli.spec_flags import add_set_flag
from frcnn.errors import SpecError, UsageError

HELP = "Check specs, show all effective values of a spec, or write specs that fit a data set."
EXAMPLES = """\
  frcnn spec check examples/specs/*.txt          lists all errors with line and column
  frcnn spec show examples/specs/kitti_resnet18.txt
  frcnn spec show spec.txt --set training_config.num_epochs=5 --set model_config.arch=resnet:34
  frcnn spec new --data my_data -o runs/mine     writes conversion and experiment spec, with reasons
  frcnn spec new --data my_data -o runs/mine --goal edge --epochs 30
  frcnn spec new --data my_data -o runs/mine --pretrained resnet50.safetensors
"""

GOALS = ("accuracy", "speed", "edge")
# Flags of `new`; `data` and `output` are required there.
_NEW = ("data", "output", "arch", "pretrained", "goal", "epochs", "images", "force")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument("action", choices=("check", "show", "new"), help="action")
    parser.add_argument(
        "files",
        type=Path,
        nargs="*",
        metavar="FILE",
        help="specs to check or show, of either kind",
    )
    add_set_flag(parser)
    parser.add_argument("--show_keys", action="store_true", help="show keys instead of asterisks")
    new = parser.add_argument_group("new")
    new.add_argument(
        "--data",
        metavar="SOURCE",
        help="data set: KITTI, COCO or records; path or s3:// URI",
    )
    new.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder of the new specs")
    new.add_argument("--goal", choices=GOALS, help="what matters most (default: accuracy)")
    new.add_argument("--arch", metavar="NAME", help="backbone (default: by goal or name of the weights)")
    new.add_argument("--pretrained", type=Path, metavar="FILE", help="pretrained weights to start from")
    new.add_argument("--epochs", type=int, metavar="N", help="epochs (default: by the number of images)")
    new.add_argument("--images", metavar="DIR", help="folder of the images, if it is not found")
    new.add_argument("--force", action="store_true", default=None, help="replace specs that exist")


def run(args: argparse.Namespace) -> None:
    """Checks or shows specs of either kind, detected by their fields, or writes new ones.

    Args:
        args: Parsed flags.

    Raises:
        SpecError: One file has errors; the message lists all of them.
        UsageError: Several files have errors, or a flag is missing or belongs to another action.
    """
    if args.action == "new":
        _new(args)
        return
    for flag in _NEW:
        if getattr(args, flag) is not None:
            raise UsageError(f"--{flag} belongs to spec new, not to spec {args.action}")
    if not args.files:
        raise UsageError(f"spec {args.action} needs the name of a spec")
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


def _new(args: argparse.Namespace) -> None:
    from frcnn.api.new_specs import new_spec
    from frcnn.console.foreign_text import printable

    if args.files or args.settings or args.show_keys:
        raise UsageError("spec new takes --data SOURCE -o DIR, but no spec, --set or --show_keys")
    if args.data is None or args.output is None:
        raise UsageError("spec new needs --data, the data set, and -o, the folder of the new specs")
    found = new_spec(
        args.data,
        args.output,
        arch=args.arch,
        pretrained=args.pretrained,
        goal=args.goal or "accuracy",
        num_epochs=args.epochs,
        images=args.images,
        force=bool(args.force),
    )
    names = [*(spec for spec, _ in found.conversions), found.experiment]
    lines = [
        *found.summary.splitlines(),
        "",
        *(f"wrote {path}" for path in names),
        "",
        "Next:",
        *found.commands,
    ]
    sys.stdout.write("\n".join(printable(line, None) for line in lines) + "\n")
