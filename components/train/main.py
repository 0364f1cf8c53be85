"""Trains a detector on records, from the start or from a model."""

import argparse
import hashlib
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.steps.kfp_output import Metadata


def parser() -> argparse.ArgumentParser:
    """The command line; `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="train", description=__doc__)
    flags.add_argument("--spec", required=True, help="experiment spec, protobuf text or a file's name")
    flags.add_argument(
        "--records", type=Path, help="folder of records with their images, in place of --records-uri"
    )
    flags.add_argument("--records-uri", default="", help="where they are kept: s3:// URI, or a folder")
    flags.add_argument("--start-from", type=Path, help="model to go on from")
    flags.add_argument("--start-from-uri", default="", help="where it is kept; for several workers")
    flags.add_argument("--epochs", type=int, default=0, help="0 leaves the spec's")
    flags.add_argument(
        "--precision",
        choices=("fp32", "mixed"),
        default="fp32",
        help="what layers compute in; mixed: 16 bits, bfloat16 on CPUs and float16 on GPUs (default: fp32)",
    )
    flags.add_argument(
        "--checkpoints", default="", help="folder or s3:// URI that outlives the step; empty: none"
    )
    flags.add_argument("--num-workers", type=int, default=1, help="pods that train together (default: 1)")
    flags.add_argument(
        "--min-workers",
        type=int,
        default=0,
        help="go on with so many where there is no room for all (0: all)",
    )
    flags.add_argument("--gpus-per-worker", type=int, default=0, help="of each of several (default: 0)")
    flags.add_argument("--image", default="", help="of the pods of several workers")
    flags.add_argument("--gpus", type=int, default=0, help="of this step's own pod (default: 0)")
    flags.add_argument("--model", type=Path, required=True, help="folder to write the model to")
    flags.add_argument("--metrics", type=Path, help="file for the numbers that the UI shows")
    flags.add_argument("--executor-input", metavar="JSON", help="what KFP puts in place of {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Trains."""
    from frcnn.errors import UsageError
    from frcnn.gpus import require_driver_gpus
    from frcnn.sealing.keys import resolve_key
    from frcnn.spec.overrides import experiment_given, with_records, with_training
    from frcnn.steps.run import keep_model, model_file
    from frcnn.training.gpus import require_tensorflow_gpus
    from frcnn.training.resumable import train_and_keep

    if args.num_workers < 1:
        raise UsageError(f"--num-workers {args.num_workers}: expected 1 or more")
    if args.gpus > 1:
        raise UsageError(f"--gpus {args.gpus}: this step trains as one process, which uses one GPU")
    if args.gpus < 0:
        raise UsageError(f"--gpus {args.gpus}: expected 0 or 1")
    # What the pod was promised it has to have, or the training would take a hundred times as long.
    alone = args.num_workers == 1
    require_driver_gpus(args.gpus if alone else 0)
    start = model_file(args.start_from) if args.start_from else None
    records = _records(args) if alone else args.records_uri
    spec = with_records(experiment_given(args.spec), records)
    spec = with_training(spec, epochs=args.epochs, retrain=start, resume=None)
    folder, uri = _places(args, spec.text, records)
    key = resolve_key(None, spec.enc_key)
    if not alone:
        from components.train.distributed import Request, train_on_workers

        logging.getLogger("components").setLevel(logging.INFO)
        result = train_on_workers(Request.of(args, spec, uri), folder, key)
    else:
        require_tensorflow_gpus(args.gpus)
        result = train_and_keep(spec, folder, uri, key=key, amp=args.precision == "mixed")
    keep_model(result.best or result.checkpoint, args.model)
    shutil.copyfile(folder / "status.json", args.model / "status.json")
    shutil.rmtree(args.model / "checkpoints", ignore_errors=True)
    return {"model": {"arch": spec.model_config.arch, **result.metrics()}, "metrics": result.metrics()}


def _records(args: argparse.Namespace) -> "Path | str":
    """Where this process reads the records: a folder, or a place on S3 that is read as it is needed.

    Raises:
        UsageError: None is given, or one that nobody can read.
        DataError: There is no such folder.
    """
    from components.train.places import as_s3
    from frcnn.errors import DataError, UsageError

    if args.records is not None and not args.records_uri:
        return Path(args.records)
    if not args.records_uri:
        raise UsageError("--records-uri is missing: where the records are kept, or --records with a folder")
    place = as_s3(args.records_uri)
    if place:
        return place
    if "://" in args.records_uri:
        raise UsageError(
            f"--records-uri {args.records_uri}: is not read here; expected s3://bucket/prefix, or a folder "
            "(the artifacts of the cluster's pipelines have to be kept on S3)"
        )
    if not Path(args.records_uri).is_dir():
        raise DataError(f"--records-uri {args.records_uri}: no such folder; is its volume mounted?")
    return Path(args.records_uri)


def _places(args: argparse.Namespace, spec_text: str, records: "Path | str") -> tuple[Path, str]:
    """Folder of the checkpoints here, and the URI where they are kept too; other inputs, other places."""
    from frcnn.storage import is_remote

    inputs = "\0".join(map(str, (spec_text, records, args.start_from, args.epochs, args.precision)))
    name = hashlib.sha256(inputs.encode()).hexdigest()[:16]
    if args.checkpoints and not is_remote(args.checkpoints):
        return Path(args.checkpoints) / name, ""
    return args.model / "checkpoints", args.checkpoints and f"{args.checkpoints.rstrip('/')}/{name}"


if __name__ == "__main__":
    sys.exit(main())
