"""Searches the fields of a spec with Katib, and passes on the best spec."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.katib.build import Wanted
    from frcnn.steps.kfp_output import Metadata
    from frcnn.tuning.tuned_spec import TunedSpec

log = logging.getLogger("frcnn.step.tune")

TRUTH = ("false", "true")


def parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line. `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="tune", description=__doc__)
    add = flags.add_argument
    add("--spec", default="", help="experiment spec, protobuf text or file; empty: the suggested one")
    add("--records-uri", required=True, help="s3:// URI of the records")
    add("--checkpoints", required=True, help="s3:// URI for the checkpoints of the trials")
    add("--space", default="", help="search space, protobuf text; empty: the default space (default: empty)")
    add("--trials", type=int, default=20, help="number of trials; 0: no search (default: 20)")
    add("--parallel", type=int, default=2, help="number of trials at a time (default: 2)")
    add("--epochs", type=int, default=0, help="epochs of a trial; 0: as in the spec (default: 0)")
    add(
        "--early-stopping",
        type=str.lower,  # KFP writes both True and true
        choices=TRUTH,
        default="true",
        help="stop bad trials early: true or false (default: true)",
    )
    add("--precision", choices=("fp32", "mixed"), default="fp32", help="precision of layers (default: fp32)")
    add("--num-workers", type=int, default=1, help="pods of a trial (default: 1)")
    add("--gpus-per-worker", type=int, default=0, help="GPUs per pod of a trial (default: 0)")
    add("--image", default="", help="image of the trials")
    add("--best-spec", type=Path, help="output file for the best spec")
    add("--metrics", type=Path, help="output file for the metrics shown in the UI")
    add("--executor-input", metavar="JSON", help="value of the KFP placeholder {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Submits the Experiment, follows it, and writes the best spec.

    Raises:
        UsageError: A flag is invalid.
        RunError: The search failed.
    """
    from components.katib.build import check, manifest_of
    from components.katib.follow import run_experiment
    from components.katib.parameters import choices_of
    from components.mpijob.cluster import Cluster
    from components.mpijob.connection import connect
    from components.mpijob.resources import EXPERIMENTS
    from frcnn.steps.run import write_parameter
    from frcnn.steps.suggested_spec import experiment_or_suggested
    from frcnn.tuning.trial_spec import best_spec
    from frcnn.tuning.tuned_spec import TunedSpec

    logging.getLogger("components").setLevel(logging.INFO)
    given = experiment_or_suggested(args.spec, None, args.records_uri)
    if args.trials == 0:
        log.info("No search: --trials is 0")
        write_parameter(args.best_spec, given.text)
        return {"metrics": {"trials": 0}}
    spec = TunedSpec(given)
    wanted = _wanted(args, spec)
    check(wanted)
    api, namespace = connect()
    with api:
        found = run_experiment(Cluster(api, namespace, EXPERIMENTS), manifest_of(wanted, namespace))
    choices = choices_of(found.assignments, wanted.space)
    log.info("Best trial %s, mAP %.4f: %s", found.trial, found.mean_ap, "; ".join(choices))
    write_parameter(args.best_spec, best_spec(spec, wanted.space, choices).to_text())
    counts = {"succeeded": found.succeeded, "ended early": found.stopped, "failed": found.failed}
    return {"metrics": {"mAP": found.mean_ap, "best trial": found.trial, **counts}}


def _wanted(args: argparse.Namespace, spec: "TunedSpec") -> "Wanted":
    from components.katib.build import Wanted, space_given

    return Wanted(
        spec=spec,
        space=space_given(args.space, spec),
        records=args.records_uri,
        checkpoints=args.checkpoints,
        trials=args.trials,
        parallel=args.parallel,
        image=args.image,
        epochs=args.epochs,
        workers=args.num_workers,
        gpus=args.gpus_per_worker,
        early_stopping=args.early_stopping == "true",
        mixed=args.precision == "mixed",
    )


if __name__ == "__main__":
    sys.exit(main())
