"""Trains a detector on records, from scratch or from a model."""

import argparse
import hashlib
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.train.trial import add_training_flags

if TYPE_CHECKING:
    from frcnn.api.training import TrainingRequest
    from frcnn.steps.kfp_output import Metadata
    from frcnn.training.result import TrainResult


def parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line. `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="train", description=__doc__)
    flags.add_argument(
        "--spec",
        default="",
        help="experiment spec, protobuf text or file; empty: the one that the conversion suggested",
    )
    flags.add_argument(
        "--records", type=Path, help="folder of records with embedded images, instead of --records-uri"
    )
    flags.add_argument("--records-uri", default="", help="s3:// URI or folder of the records")
    flags.add_argument("--start-from", type=Path, help="folder of the model to start from")
    flags.add_argument("--start-from-uri", default="", help="URI of that model, for several workers")
    flags.add_argument(
        "--checkpoints", default="", help="folder or s3:// URI for checkpoints that outlives the step"
    )
    flags.add_argument("--num-workers", type=int, default=1, help="pods that train together (default: 1)")
    flags.add_argument(
        "--min-workers",
        type=int,
        default=0,
        help="number of pods that suffice if the cluster has no room for all; 0: all (default: 0)",
    )
    flags.add_argument(
        "--gpus-per-worker", type=int, default=0, help="GPUs per pod, if --num-workers > 1 (default: 0)"
    )
    flags.add_argument("--image", default="", help="image of the pods, if --num-workers > 1")
    flags.add_argument("--gpus", type=int, default=0, help="GPUs of the step's own pod, 0 or 1 (default: 0)")
    add_training_flags(flags)
    flags.add_argument("--model", type=Path, required=True, help="output folder for the model")
    flags.add_argument("--metrics", type=Path, help="output file for the metrics shown in the UI")
    flags.add_argument("--executor-input", metavar="JSON", help="value of the KFP placeholder {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Trains the detector.

    Raises:
        UsageError: A flag is invalid.
    """
    from frcnn.api.training import TrainingRequest
    from frcnn.gpus import require_driver_gpus
    from frcnn.sealing.keys import resolve_key
    from frcnn.steps.places import folder_or_s3, records_place
    from frcnn.steps.run import keep_model, model_file
    from frcnn.steps.specs import with_choices, with_records, with_training
    from frcnn.steps.suggested_spec import experiment_or_suggested

    _check_pods(args)
    args.checkpoints = folder_or_s3(args.checkpoints, "--checkpoints")
    # Fail if a requested GPU is missing: training on CPUs would take about a hundred times as long.
    require_driver_gpus(args.gpus)
    alone = args.num_workers == 1
    start = model_file(args.start_from) if args.start_from else None
    records = records_place(args.records, args.records_uri) if alone else args.records_uri
    spec = experiment_or_suggested(args.spec, args.records, args.records_uri)
    spec = with_records(spec, records)
    spec = with_training(spec, epochs=args.epochs, retrain=start)
    spec = with_choices(spec, args.space, args.choice)
    folder, uri = _places(args, spec.text, records)
    key = resolve_key(None, spec.enc_key)
    if not alone:
        from components.train.distributed import train_on_workers
        from components.train.worker_job import Request

        logging.getLogger("components").setLevel(logging.INFO)
        epochs = spec.training_config.num_epochs
        wanted = Request.of(args, uri, spec_text=spec.text, spec_key=spec.enc_key, total_epochs=epochs)
        result = train_on_workers(wanted, folder, key)
    else:
        amp = args.precision == "mixed"
        result = _train_here(
            args, TrainingRequest(spec, folder, key, resume=True, use_amp=amp, backup_uri=uri)
        )
    keep_model(result.best or result.checkpoint, args.model)
    shutil.copyfile(folder / "status.json", args.model / "status.json")
    shutil.rmtree(args.model / "checkpoints", ignore_errors=True)
    return {"model": {"arch": spec.model_config.arch, **result.metrics()}, "metrics": result.metrics()}


def _train_here(args: argparse.Namespace, request: "TrainingRequest") -> "TrainResult":
    """Trains in this process, and prints the metric of a trial."""
    from components.train.trial import metric_lines, print_earlier
    from frcnn.api.training import run_training
    from frcnn.training.tensorflow_gpus import require_tensorflow_gpus

    require_tensorflow_gpus(args.gpus)
    lines = metric_lines(args)
    result = run_training(request, lines)
    print_earlier(lines, result.checkpoint, request.key)
    return result


def _check_pods(args: argparse.Namespace) -> None:
    """Checks numbers of workers and GPUs.

    Raises:
        UsageError: One is out of range, or a training would not use the requested GPUs.
    """
    from frcnn.errors import UsageError

    if args.num_workers < 1:
        raise UsageError(f"--num-workers {args.num_workers}: expected 1 or more")
    if args.gpus not in (0, 1):
        raise UsageError(f"--gpus {args.gpus}: expected 0 or 1, because this step trains in one process")
    # If the step has its own GPU, the GPUs of a search's trials do not concern it.
    if args.num_workers == 1 and args.gpus_per_worker and not args.gpus:
        raise UsageError(
            f"--gpus-per-worker {args.gpus_per_worker}: only for several workers. Set num_workers to 2 or "
            "more, or step_gpus to 1 to train with one GPU in this step's own pod."
        )
    if args.num_workers > 1 and args.gpus:
        raise UsageError(
            f"--gpus {args.gpus}: only for one worker, because this pod does not train. Set step_gpus to 0 "
            "and gpus_per_worker to the GPUs of each worker."
        )


def _places(args: argparse.Namespace, spec_text: str, records: "Path | str") -> tuple[Path, str]:
    """Returns the local folder and the URI of the checkpoints, both specific to the step's inputs."""
    from frcnn.storage import is_remote

    inputs = "\0".join(map(str, (spec_text, records, args.start_from, args.epochs, args.precision)))
    name = hashlib.sha256(inputs.encode()).hexdigest()[:16]
    if args.checkpoints and not is_remote(args.checkpoints):
        return Path(args.checkpoints) / name, ""
    return args.model / "checkpoints", args.checkpoints and f"{args.checkpoints.rstrip('/')}/{name}"


if __name__ == "__main__":
    sys.exit(main())
