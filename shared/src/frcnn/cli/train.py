"""`frcnn train`: an experiment spec and its records in, checkpoints out."""

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frcnn.errors import UsageError

HELP = "train a detector, resume a training, or retrain a pruned model"
EXAMPLES = """\
  frcnn train -e spec.txt -r results
  FRCNN_KEY=secret frcnn train -e spec.txt -r results        checkpoints are sealed (.tlt)
  frcnn train -e spec.txt -r results --strict                unreadable images are errors
  frcnn train -e spec.txt -r results --gpus 4                four processes, by Horovod
  mpirun -np 8 -H a:4,b:4 frcnn train -e spec.txt -r results
To resume, set training_config.resume_from_model in the spec to a checkpoint, or to the results folder for
its latest one; to retrain a pruned model, set training_config.retrain_pruned_model.
"""
# Two trainings in one results folder would remove each other's checkpoints.
ONE_WRITER = True

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the reference, `--strict` and `--fp16_allreduce`."""
    parser.add_argument(
        "-e", "--experiment_spec", "--experiment_spec_file", type=Path, required=True, help="experiment spec"
    )
    parser.add_argument(
        "-r", "--results_dir", type=Path, required=True, help="folder for checkpoints and status.json"
    )
    parser.add_argument(
        "-k", "--enc_key", "--key", default=None, help="key of model files (safer: FRCNN_KEY)"
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
    from frcnn.spec import load_experiment

    if place().rank:
        logging.getLogger("frcnn").setLevel(logging.WARNING)  # rank 0 speaks
    spec = load_experiment(args.experiment_spec)
    key = resolve_key(args.enc_key, spec.enc_key)
    from frcnn.training.trainer import train

    world = join(half=args.fp16_allreduce)
    result = train(spec, args.results_dir, key=key, amp=args.use_amp, strict=args.strict, world=world)
    names = {"last": result.checkpoint, "best": result.best}
    return {name: path and str(path) for name, path in names.items()} | {"kpi": result.metrics()}


def _processes(args: argparse.Namespace) -> int:
    """How many processes train: one for each GPU, or for as many GPUs as a model is spread over.

    Raises:
        UsageError: The flags ask for something else.
    """
    from frcnn.spec import load_experiment

    if args.gpus == 1 and args.num_processes == 1:
        return 1
    each = len(load_experiment(args.experiment_spec).training_config.model_parallelism) or 1
    if each > 1:
        default = args.num_processes == args.gpus
        processes = max(1, args.gpus // each) if default else args.num_processes
        if args.gpus != processes * each:
            raise UsageError(
                f"--gpus {args.gpus}: training_config.model_parallelism spreads a model over {each} GPUs, so "
                f"{processes} processes need --gpus {processes * each}"
            )
        return processes
    if args.gpus < args.num_processes:
        raise UsageError(f"--num_processes {args.num_processes} needs --gpus {args.num_processes} or more")
    if args.gpus > args.num_processes:
        log.warning("%d processes use one GPU each, of %d", args.num_processes, args.gpus)
    return int(args.num_processes)


def _launch(args: argparse.Namespace, processes: int) -> Mapping[str, Any]:
    """Starts the processes once it is clear that spec and key are good."""
    from frcnn.distributed.launcher import launch
    from frcnn.sealing.keys import KEY_VARIABLE, resolve_key
    from frcnn.spec import load_experiment

    key = resolve_key(args.enc_key, load_experiment(args.experiment_spec).enc_key)
    words = ["-e", args.experiment_spec, "-r", args.results_dir]
    words += ["--log_file", args.log_file] if args.log_file else []
    flags = ("strict", "fp16_allreduce", "use_amp", "verbose")
    words += [f"--{flag}" for flag in flags if getattr(args, flag)]
    log.info("starting %d processes", processes)
    command = [sys.executable, "-m", "frcnn.cli.train_rank", *words]
    # Command lines are there for all to read, so the key goes by the environment.
    outcome = launch(command, processes, {KEY_VARIABLE: key} if key else {})
    return outcome.result
