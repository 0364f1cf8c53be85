"""`frcnn train`: trains a detector from an experiment spec and writes checkpoints."""

import argparse
import logging
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frcnn.cli.spec_flags import add_spec_flags, load_spec, spec_in
from frcnn.errors import UsageError

HELP = "Train a detector, resume a training, or retrain a pruned model."
EXAMPLES = """\
  frcnn train -e spec.txt -r results
  FRCNN_KEY=secret frcnn train -e spec.txt -r results        seals checkpoints (.tlt)
  frcnn train -e spec.txt -r results --strict                fails on unreadable images
  frcnn train -e spec.txt -r results --gpus 4                four processes with Horovod
  mpirun -np 8 -H a:4,b:4 frcnn train -e spec.txt -r results
  frcnn train -e spec.txt -r results --epochs 30 --resume    resumes the latest checkpoint in results
  frcnn train -e spec.txt -r results --set training_config.batch_size_per_gpu=4
To retrain a pruned model, set training_config.retrain_pruned_model.
"""
# Concurrent trainings in one results folder would delete each other's checkpoints.
ONE_WRITER = True

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    add_spec_flags(parser)
    parser.add_argument(
        "-r", "--results_dir", type=Path, required=True, help="folder for checkpoints and status.json"
    )
    parser.add_argument(
        "-k", "--enc_key", "--key", default=None, help="key of model files (safer: FRCNN_KEY or -k @FILE)"
    )
    parser.add_argument(
        "--epochs", type=int, metavar="N", help="number of epochs (default: training_config.num_epochs)"
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="CHECKPOINT",
        help="checkpoint to resume, or a results folder for its latest one (without value: that of -r)",
    )
    parser.add_argument("--strict", action="store_true", help="fail on images that cannot be read")
    parser.add_argument(
        "--fp16_allreduce",
        action="store_true",
        help="exchange gradients between processes in 16 bits, for slow networks",
    )


def run(args: argparse.Namespace) -> Mapping[str, object]:
    """Trains the detector and prints the paths of the checkpoints.

    With `--gpus` or `--num_processes` above 1, starts several processes and waits for them. Under mpirun or
    horovodrun, this process is one of the ranks.

    Returns:
        Metrics for the status file.
    """
    from frcnn.distributed.world import rank_info

    processes = _processes(args) if rank_info().size == 1 else 1
    result = _launch(args, processes) if processes > 1 else train_here(args)
    if rank_info().rank == 0:
        for name in ("last", "best"):
            if result[name]:
                sys.stdout.write(f"{name} checkpoint: {result[name]}\n")
        sys.stdout.write(_next_step(result["kpi"].get("mAP"), args))
    return {"kpi": result["kpi"]}


def train_here(args: argparse.Namespace) -> dict[str, Any]:
    """Trains in this process, which may be one of several ranks.

    Args:
        args: Parsed flags.

    Returns:
        Dict with `last` and `best`, names of checkpoints or `None`, and `kpi`, the metrics.
    """
    from frcnn.api.training import TrainingRequest, run_training
    from frcnn.distributed.world import rank_info
    from frcnn.sealing.keys import resolve_key

    if rank_info().rank:
        logging.getLogger("frcnn").setLevel(logging.WARNING)  # only rank 0 logs
    spec = load_spec(args, _own_settings(args))
    request = TrainingRequest(
        spec,
        args.results_dir,
        resolve_key(args.enc_key, spec.enc_key),
        use_amp=args.use_amp,
        strict=args.strict,
        fp16_allreduce=args.fp16_allreduce,
    )
    result = run_training(request)
    names = {"last": result.checkpoint, "best": result.best}
    return {name: path and str(path) for name, path in names.items()} | {"kpi": result.metrics()}


def _own_settings(args: argparse.Namespace) -> list[str]:
    """Returns the spec settings for `--epochs` and `--resume`, in the form of `--set`."""
    from frcnn.spec.assignments import assignment

    settings = []
    if args.resume is not None:
        settings.append(assignment("training_config.resume_from_model", args.resume or str(args.results_dir)))
    if args.epochs is not None:
        if args.epochs < 1:
            raise UsageError(f"--epochs {args.epochs}: expected 1 or more")
        training = spec_in(args.experiment_spec, [*args.settings, *settings]).training_config
        fields = training.fields_for_epochs(args.epochs)
        settings += [assignment(f"training_config.{name}", value) for name, value in fields.items()]
    return settings


def _next_step(mean_ap: float | None, args: argparse.Namespace) -> str:
    """Returns a line about a low mAP; empty for others, and without a validation."""
    from frcnn.evaluation.advice import LOW_MAP

    if mean_ap is None or mean_ap >= LOW_MAP:
        return ""
    words = ["frcnn", "evaluate", "-e", args.experiment_spec, "-m", args.results_dir]
    words += [word for setting in args.settings for word in ("--set", setting)]
    return f"mAP is only {mean_ap:.2f}. To see what to try next, run: {shlex.join(map(str, words))}\n"


def _processes(args: argparse.Namespace) -> int:
    """Returns the number of processes: one per GPU, or per group of GPUs that a model is spread over.

    Raises:
        UsageError: The flags do not match this number.
    """
    if args.gpus == 1 and not args.num_processes_given:
        return 1
    each = len(spec_in(args.experiment_spec, args.settings).training_config.model_parallelism) or 1
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
    """Checks spec and key, then starts the processes."""
    from frcnn.distributed.launcher import launch
    from frcnn.sealing.keys import KEY_VARIABLE, resolve_key

    settings = [*args.settings, *_own_settings(args)]
    key = resolve_key(args.enc_key, load_spec(args, _own_settings(args)).enc_key)
    words = ["-e", args.experiment_spec, "-r", args.results_dir]
    for setting in settings:
        words += ["--set", setting]
    words += ["--log_file", args.log_file] if args.log_file else []
    flags = ("strict", "fp16_allreduce", "use_amp", "verbose")
    words += [f"--{flag}" for flag in flags if getattr(args, flag)]
    log.info("Starting %d processes", processes)
    command = [sys.executable, "-m", "frcnn.cli.train_rank", *words]
    # Other users can read command lines, so the key is passed in the environment.
    outcome = launch(command, processes, {KEY_VARIABLE: key} if key else {})
    return outcome.result
