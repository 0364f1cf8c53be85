"""`frcnn train`: an experiment spec and its records in, checkpoints out."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

HELP = "train a detector, resume a training, or retrain a pruned model"
EXAMPLES = """\
  frcnn train -e spec.txt -r results
  FRCNN_KEY=secret frcnn train -e spec.txt -r results        checkpoints are sealed (.tlt)
  frcnn train -e spec.txt -r results --strict                unreadable images are errors
To resume, set training_config.resume_from_model in the spec to a checkpoint; to retrain a pruned
model, set training_config.retrain_pruned_model.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the reference, and `--strict`."""
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


def run(args: argparse.Namespace) -> Mapping[str, object]:
    """Trains, and says where the checkpoints are."""
    from frcnn.runtime.keys import resolve_key
    from frcnn.spec import load_experiment

    spec = load_experiment(args.experiment_spec)
    key = resolve_key(args.enc_key, spec.enc_key)
    from frcnn.train.trainer import train

    result = train(spec, args.results_dir, key=key, amp=args.use_amp, strict=args.strict)
    for name, path in (("last", result.checkpoint), ("best", result.best)):
        if path is not None:
            sys.stdout.write(f"{name} checkpoint: {path}\n")
    return {"kpi": result.metrics()}
