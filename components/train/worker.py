"""One process of a training on several pods. The launcher of an MPIJob starts it with mpirun.

Records, spec, initial model and checkpoints are on S3; a pod keeps nothing of value.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.train.trial import add_training_flags, metric_lines, print_earlier

if TYPE_CHECKING:
    from frcnn.steps.kfp_output import Metadata


def parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line. `distributed.described` writes this command line."""
    flags = argparse.ArgumentParser(prog="train.worker", description=__doc__)
    flags.add_argument("--spec", required=True, help="s3:// URI of the experiment spec")
    flags.add_argument("--records", required=True, help="s3:// URI of the records")
    flags.add_argument("--start-from", default="", help="s3:// URI of the Model artifact to start from")
    flags.add_argument("--checkpoints", required=True, help="s3:// URI for checkpoints of this training only")
    add_training_flags(flags)
    flags.add_argument("--gpus", type=int, default=0, help="GPUs that every pod requested (default: 0)")
    flags.set_defaults(executor_input=None)
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one training process.

    Args:
        argv: Command line arguments. `None` uses those of the process.

    Returns:
        Exit code.
    """
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, work)


def work(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Trains as one of the ranks that mpirun started. Rank 0 logs and stores the checkpoints.

    Args:
        args: Parsed flags.

    Returns:
        Empty metadata.
    """
    from frcnn.api.training import TrainingRequest, run_training
    from frcnn.distributed.world import rank_info
    from frcnn.gpus import require_driver_gpus
    from frcnn.sealing.keys import resolve_key
    from frcnn.steps.specs import experiment_given, with_choices, with_records, with_training
    from frcnn.training.tensorflow_gpus import require_tensorflow_gpus

    # With MIG, a process sees only one GPU instance, however many its pod has.
    require_driver_gpus(min(args.gpus, 1))
    require_tensorflow_gpus(min(args.gpus, 1))
    if rank_info().rank:
        logging.getLogger("frcnn").setLevel(logging.WARNING)
    spec = with_records(experiment_given(args.spec), args.records)
    with tempfile.TemporaryDirectory(prefix="frcnn-train-") as name:
        folder = Path(name)
        start = _download(args.start_from, folder / "start") if args.start_from else None
        spec = with_training(spec, epochs=args.epochs, retrain=start)
        lines = metric_lines(args)
        request = TrainingRequest(
            with_choices(spec, args.space, args.choice),
            folder / "results",
            resolve_key(None, spec.enc_key),
            resume=True,
            use_amp=args.precision == "mixed",
            backup_uri=args.checkpoints,
        )
        print_earlier(lines, run_training(request, lines).checkpoint, request.key)
    return {}


def _download(uri: str, folder: Path) -> Path:
    """Downloads the model of a Model artifact, or raises `ModelError` if it contains none."""
    from frcnn.errors import ModelError
    from frcnn.steps.run import MODEL_NAMES
    from frcnn.storage import Store

    store = Store.from_environment()
    there = {entry.name for entry in store.list(uri)}
    for name in MODEL_NAMES:
        if name in there:
            folder.mkdir(parents=True)
            store.download_file(f"{uri}/{name}", folder / name)
            return folder / name
    raise ModelError(f"{uri}: contains no {' or '.join(MODEL_NAMES)}; expected the output of a step.")


if __name__ == "__main__":
    sys.exit(main())
