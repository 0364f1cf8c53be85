"""`frcnn train`: an experiment spec and its records in, checkpoints out."""

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frcnn.cli.spec_flags import add_spec_flags, load_spec
from frcnn.errors import UsageError

HELP = "train a detector, resume a training, or retrain a pruned model"
EXAMPLES = """\
  frcnn train -e spec.txt -r results
  FRCNN_KEY=secret frcnn train -e spec.txt -r results        checkpoints are sealed (.tlt)
  frcnn train -e spec.txt -r results --strict                unreadable images are errors
  frcnn train -e spec.txt -r results --gpus 4                four processes, by Horovod
  mpirun -np 8 -H a:4,b:4 frcnn train -e spec.txt -r results
  frcnn train -e spec.txt -r results --epochs 30 --resume    go on with the latest checkpoint in results
  frcnn train -e spec.txt -r results --set training_config.batch_size_per_gpu=4
To retrain a pruned model, set training_config.retrain_pruned_model.
"""
# Two trainings in one results folder would remove each other's checkpoints.
ONE_WRITER = True

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the reference and some more."""
    add_spec_flags(parser)
    parser.add_argument(
        "-r", "--results_dir", type=Path, required=True, help="folder for checkpoints and status.json"
    )
    parser.add_argument(
        "-k", "--enc_key", "--key", default=None, help="key of model files (safer: FRCNN_KEY)"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of training_config.num_epochs")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="CHECKPOINT",
        help="go on with this checkpoint, or a results folder's latest one; without a name, that of -r",
    )
    parser.add_argument("--strict", action="store_true", help="an unreadable image is an error")
    parser.add_argument(
        "--fp16_allreduce",
        action="store_true",
        help="with several processes: gradients travel in 16 bits, for slow networks",
    )


def run(args: argparse.Namespace) -> Mapping[str, object]:
    """Trains, and says where the checkpoints are.

    With `--gpus` or `--num_processes` above 1 it starts that many processes and waits for them; under
    mpirun or horovodrun it is one of theirs.
    """
    from frcnn.distributed.world import place

    processes = _processes(args) if place().size == 1 else 1
    result = _launch(args, processes) if processes > 1 else train_here(args)
    for name in ("last", "best"):
        if result[name] and place().rank == 0:
            sys.stdout.write(f"{name} checkpoint: {result[name]}\n")
    return {"kpi": result["kpi"]}


def train_here(args: argparse.Namespace) -> dict[str, Any]:
    """Trains in this process, as one of several if a launcher says so.

    Returns:
        `last` and `best`, names of checkpoints or None, and `kpi`, numbers.
    """
    from frcnn.distributed.world import join, place
    from frcnn.sealing.keys import resolve_key

    if place().rank:
        logging.getLogger("frcnn").setLevel(logging.WARNING)  # rank 0 speaks
    spec = load_spec(args, own_settings(args))
    key = resolve_key(args.enc_key, spec.enc_key)
    from frcnn.training.trainer import train

    world = join(half=args.fp16_allreduce)
    result = train(spec, args.results_dir, key=key, amp=args.use_amp, strict=args.strict, world=world)
    names = {"last": result.checkpoint, "best": result.best}
    return {name: path and str(path) for name, path in names.items()} | {"kpi": result.metrics()}


def own_settings(args: argparse.Namespace) -> list[str]:
    """Returns what --epochs and --resume set in the spec, as --set would.

    Raises:
        UsageError: A number of epochs below 1.
        SpecError: The spec cannot be read.
    """
    from frcnn.spec.assignments import assignment
    from frcnn.spec.load import parse_experiment, read_text

    settings = []
    if args.resume is not None:
        settings.append(assignment("training_config.resume_from_model", args.resume or str(args.results_dir)))
    if args.epochs is not None:
        if args.epochs < 1:
            raise UsageError(f"--epochs {args.epochs}: expected 1 or more")
        settings.append(assignment("training_config.num_epochs", args.epochs))
        source = str(args.experiment_spec)
        text, given = read_text(args.experiment_spec), [*args.settings, *settings]
        spec = parse_experiment(text, source, remarks=False, settings=given).spec
        if spec.training_config.checkpoint_interval > args.epochs:
            # Else a training that is made short would leave no model.
            settings.append(assignment("training_config.checkpoint_interval", args.epochs))
    return settings


def _processes(args: argparse.Namespace) -> int:
    """How many processes train: one for each GPU, or for as many GPUs as a model is spread over.

    Raises:
        UsageError: The flags ask for something else.
    """
    from frcnn.spec.load import parse_experiment, read_text

    if args.gpus == 1 and not args.num_processes_given:
        return 1
    source = str(args.experiment_spec)
    text = read_text(args.experiment_spec)
    spec = parse_experiment(text, source, remarks=False, settings=args.settings).spec
    each = len(spec.training_config.model_parallelism) or 1
    processes = int(args.num_processes) if args.num_processes_given else max(1, args.gpus // each)
    if args.gpus != processes * each:
        needing = f"{processes} processes need" if processes > 1 else "1 process needs"
        raise UsageError(f"--gpus {args.gpus}: {_spread(each)}, so {needing} --gpus {processes * each}")
    return processes


def _spread(each: int) -> str:
    if each == 1:
        return "a process takes 1 GPU unless training_config.model_parallelism spreads its model over more"
    return f"training_config.model_parallelism spreads a model over {each} GPUs"


def _launch(args: argparse.Namespace, processes: int) -> Mapping[str, Any]:
    """Starts the processes once it is clear that spec and key are good."""
    from frcnn.distributed.launcher import launch
    from frcnn.sealing.keys import KEY_VARIABLE, resolve_key

    settings = [*args.settings, *own_settings(args)]
    key = resolve_key(args.enc_key, load_spec(args, own_settings(args)).enc_key)
    words = ["-e", args.experiment_spec, "-r", args.results_dir]
    for setting in settings:
        words += ["--set", setting]
    words += ["--log_file", args.log_file] if args.log_file else []
    flags = ("strict", "fp16_allreduce", "use_amp", "verbose")
    words += [f"--{flag}" for flag in flags if getattr(args, flag)]
    log.info("starting %d processes", processes)
    command = [sys.executable, "-m", "frcnn.cli.train_rank", *words]
    # Command lines are there for all to read, so the key goes by the environment.
    outcome = launch(command, processes, {KEY_VARIABLE: key} if key else {})
    return outcome.result
