"""`frcnn tune --katib`: runs the trials of a search on a cluster, as an Experiment of Katib."""

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from components.images import image
from frcnn.errors import UsageError
from frcnn.files import write_text

if TYPE_CHECKING:
    from components.katib.build import Wanted
    from components.katib.follow import Found
    from components.mpijob.manifest import Manifest


def add_flags(parser: argparse.ArgumentParser, flag: str) -> None:
    """Adds the flags of a search on a cluster to `frcnn tune`.

    Args:
        parser: Parser of `frcnn tune`.
        flag: Flag that chooses this place, `--katib`.
    """
    group = parser.add_argument_group(f"on a cluster, with {flag}")
    add = group.add_argument
    add(flag, action="store_true", help="run the trials on a cluster as an Experiment of Katib")
    add("-o", "--output", metavar="FILE", help="write the Experiment to FILE (-: print it), do not submit it")
    add("--records", default="", metavar="URI", help="s3:// URI of the records")
    add("--checkpoints", default="", metavar="URI", help="s3:// URI for the checkpoints of the trials")
    add("--name", default="", help="name of the Experiment (default: derived from the settings)")
    add("--namespace", help="namespace (default: that of this pod, or of the kubeconfig)")
    add("--image", help="image of the trials (default: that of the train step)")
    add(
        "--workers", type=int, default=1, metavar="N", help="pods of a trial; above 1, an MPIJob (default: 1)"
    )
    add("--gpus_per_worker", type=int, default=0, metavar="N", help="GPUs per pod of a trial (default: 0)")
    add("--pods", metavar="FLAGS", help="flags of the pods, such as '--cpu 8 --memory 64Gi'")


def run(args: argparse.Namespace) -> None:
    """Writes the Experiment, or submits and follows it.

    Args:
        args: Parsed flags of `frcnn tune`.

    Raises:
        UsageError: A flag does not apply to a search on a cluster.
        FrcnnError: The search failed.
    """
    wanted = _wanted(args)
    from components.katib.build import check, manifest_of

    check(wanted)
    if args.output:
        _write(manifest_of(wanted, args.namespace or "default"), args.output)
        return
    from components.katib.follow import run_experiment
    from components.mpijob.cluster import Cluster
    from components.mpijob.connection import connect
    from components.mpijob.resources import EXPERIMENTS

    logging.getLogger("components").setLevel(logging.INFO)
    api, own_namespace = connect()
    with api:
        namespace = args.namespace or own_namespace
        found = run_experiment(Cluster(api, namespace, EXPERIMENTS), manifest_of(wanted, namespace))
    _show(found, wanted, args.results_dir)


def _wanted(args: argparse.Namespace) -> "Wanted":
    _refuse(args)
    from components.katib.build import Wanted
    from frcnn.cli.spec_flags import load_spec
    from frcnn.tuning.default_space import default_space
    from frcnn.tuning.space_file import load_space
    from frcnn.tuning.tuned_spec import TunedSpec

    spec = TunedSpec(load_spec(args))
    return Wanted(
        spec=spec,
        space=load_space(args.space, spec) if args.space else default_space(spec, args.archs),
        records=args.records,
        checkpoints=args.checkpoints,
        trials=args.trials,
        parallel=args.jobs,
        image=args.image or image("train"),
        name=args.name,
        epochs=args.epochs or 0,
        workers=args.workers,
        gpus=args.gpus_per_worker,
        early_stopping=args.pruner != "none",
        mixed=args.use_amp,
        seed=args.seed,
        options=args.pods,
    )


def _refuse(args: argparse.Namespace) -> None:
    """Refuses flags that Katib has nothing for."""
    if args.objectives != ["mAP"]:
        raise UsageError(f"--objectives {' '.join(args.objectives)} with --katib: expected mAP only")
    if args.hours is not None:
        raise UsageError(
            "--hours with --katib: Katib has no time limit; limit --trials, or --deadline in --pods"
        )
    if args.gpus > 1:
        raise UsageError(
            f"--gpus {args.gpus} with --katib: expected --gpus_per_worker, the number of GPUs of each pod"
        )
    if args.epochs is not None and args.epochs < 1:
        raise UsageError(f"--epochs {args.epochs}: expected 1 or more")
    if args.pruner == "hyperband":
        raise UsageError("--pruner hyperband with --katib: expected asha for the median rule, or none")
    if args.space and args.archs:
        raise UsageError("--archs and --space exclude each other. Give one of them.")
    if args.strict or args.enc_key:
        raise UsageError(
            "--strict and --enc_key do not apply with --katib; the key is in the secret frcnn-model-key"
        )


def _write(manifest: "Manifest", output: str) -> None:
    import yaml

    if Path(output).is_dir():
        raise UsageError(f"--output {output}: is a folder; expected a file for the Experiment")
    text = yaml.safe_dump(manifest, sort_keys=False)
    if output == "-":
        sys.stdout.write(text)
    else:
        write_text(Path(output), text)
        sys.stdout.write(f"{output}\n")


def _show(found: "Found", wanted: "Wanted", folder: Path | None) -> None:
    from components.katib.parameters import choices_of
    from frcnn.tuning.trial_spec import best_spec

    choices = choices_of(found.assignments, wanted.space)
    settings = wanted.space.settings(wanted.space.choices(choices))
    lines = [
        f"best: trial {found.trial}, validation mAP {found.mean_ap:.4f}",
        *(f"  {each}" for each in settings),
    ]
    if folder is not None:
        path = folder / "best_spec.txt"
        write_text(path, best_spec(wanted.spec, wanted.space, choices).to_text())
        lines.append(f"spec: {path}")
    sys.stdout.write("\n".join(lines) + "\n")
