"""One process of a training on several pods; the launcher of an MPIJob starts it on each with mpirun.

Records, spec, start and checkpoints are on S3: nothing has to outlive a pod.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.steps.kfp_output import Metadata


def parser() -> argparse.ArgumentParser:
    """The command line; `on_workers` writes it."""
    flags = argparse.ArgumentParser(prog="train.worker", description=__doc__)
    flags.add_argument("--spec", required=True, help="experiment spec, s3:// URI")
    flags.add_argument("--records", required=True, help="s3:// URI that the records lie under")
    flags.add_argument("--start-from", default="", help="s3:// URI of a Model artifact to go on from")
    flags.add_argument("--epochs", type=int, default=0, help="0 leaves the spec's")
    flags.add_argument(
        "--precision", choices=("fp32", "mixed"), default="fp32", help="what layers compute in"
    )
    flags.add_argument("--checkpoints", required=True, help="s3:// URI of this very training")
    flags.add_argument("--gpus", type=int, default=0, help="that every pod was promised (default: 0)")
    flags.set_defaults(executor_input=None)
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Trains; returns the exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, work)


def work(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Trains as one of the ranks that mpirun started; rank 0 speaks, and keeps the checkpoints."""
    from frcnn.distributed.world import place
    from frcnn.gpus import require_driver_gpus
    from frcnn.sealing.keys import resolve_key
    from frcnn.spec.overrides import experiment_given, with_records, with_training
    from frcnn.training.gpus import require_tensorflow_gpus
    from frcnn.training.resumable import train_and_keep

    # Of the parts of a shared GPU (MIG) a process sees one, however many its pod has.
    require_driver_gpus(min(args.gpus, 1))
    require_tensorflow_gpus(min(args.gpus, 1))
    if place().rank:
        logging.getLogger("frcnn").setLevel(logging.WARNING)
    spec = with_records(experiment_given(args.spec), args.records)
    with tempfile.TemporaryDirectory(prefix="frcnn-train-") as name:
        folder = Path(name)
        start = _brought(args.start_from, folder / "start") if args.start_from else None
        spec = with_training(spec, epochs=args.epochs, retrain=start, resume=None)
        key, amp = resolve_key(None, spec.enc_key), args.precision == "mixed"
        train_and_keep(spec, folder / "results", args.checkpoints, key=key, amp=amp)
    return {}


def _brought(uri: str, folder: Path) -> Path:
    """The model of a Model artifact on S3, on this machine.

    Raises:
        ModelError: There is none.
    """
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
    raise ModelError(f"{uri}: holds no {' or '.join(MODEL_NAMES)}; expected the output of a step")


if __name__ == "__main__":
    sys.exit(main())
