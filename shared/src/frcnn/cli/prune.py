"""`frcnn prune`: removes filters from a model."""

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.api.pruning import DEFAULT_THRESHOLD, REPORT
from frcnn.cli.model_flags import found_model
from frcnn.cli.shared_flags import OR_RESULTS, add_model_flag
from frcnn.errors import UsageError
from frcnn.pruning.settings import CRITERIA, NORMALIZERS, PruneSettings

if TYPE_CHECKING:
    from frcnn.pruning.report import PruneReport

HELP = "Remove the least important filters of a model. Retrain it afterwards (retrain_pruned_model)."
EXAMPLES = """\
  frcnn prune -m results/frcnn_resnet_18.epoch_12.keras -o pruned.keras -eq union -pth 0.5
  frcnn prune -m sealed.tlt -o pruned.tlt -k @key.txt                sealed models
  frcnn prune -m model.keras -o pruned.keras --target_params 0.15    searches the threshold
  frcnn prune -m model.keras --target_flops 0.3 --dry_run            shows the result, writes nothing
  frcnn train -e spec.txt -r retrained --set training_config.retrain_pruned_model=pruned.keras   the next step
"""

PLAIN_SUFFIXES = (".keras", ".hdf5", ".h5")

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    add = parser.add_argument
    add_model_flag(parser, f"model to prune, {OR_RESULTS}")
    add(
        *("-o", "--output_file"),
        type=Path,
        metavar="FILE",
        help="pruned model: .tlt (sealed if there is a key) or .keras (plain)",
    )
    add(
        *("-k", "--key", "--enc_key"),
        metavar="KEY",
        help="key of both model files (safer: FRCNN_KEY, or -k @FILE)",
    )
    _add_selection_flags(parser)
    _add_target_flags(parser)
    add("--dry_run", action="store_true", help="show the result without writing a model")
    add("--force", action="store_true", help="overwrite an existing file, even the model given by -m")
    add("--results_dir", type=Path, metavar="DIR", help=f"folder for status.json and {REPORT}")


def _add_selection_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that choose the filters to keep."""
    add = parser.add_argument
    add(
        *("-n", "--normalizer"),
        choices=NORMALIZERS,
        default="max",
        help="divide the norms of a layer's filters by their maximum or their L2 norm (default: max)",
    )
    add(
        *("-eq", "--equalization_criterion"),
        choices=CRITERIA,
        default="union",
        help="how to combine filters of layers joined by elementwise or depthwise layers (default: union)",
    )
    add(
        *("-pg", "--pruning_granularity"),
        type=int,
        default=8,
        metavar="N",
        help="keep a multiple of N filters per layer (default: 8)",
    )
    add(
        *("-pth", "--pruning_threshold"),
        type=float,
        metavar="T",
        help=f"keep filters with a normalized norm above T (default: {DEFAULT_THRESHOLD})",
    )
    add(
        *("-nf", "--min_num_filters"),
        type=int,
        default=16,
        metavar="N",
        help="keep at least N filters per layer (default: 16)",
    )
    add(
        *("-el", "--excluded_layers"),
        nargs="*",
        action="extend",
        default=[],
        metavar="LAYER",
        help="layers to leave unpruned",
    )


def _add_target_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of a search for the threshold."""
    add = parser.add_argument
    add(
        "--target_params",
        type=float,
        metavar="SHARE",
        help="largest fraction of parameters to keep; the threshold is searched (instead of -pth)",
    )
    add(
        "--target_flops",
        type=float,
        metavar="SHARE",
        help="largest fraction of operations to keep; can be combined with --target_params",
    )
    add(
        "--rois",
        type=int,
        default=300,
        metavar="N",
        help="RoIs per image for counting operations (default: 300)",
    )


def run(args: argparse.Namespace) -> Mapping[str, object]:
    """Prunes the model, prints the result, and writes the model and the report.

    Returns:
        Key figures for the status file.

    Raises:
        UsageError: Flags contradict each other, or the output file exists.
    """
    settings = _settings(args)
    if args.output_file is None and not args.dry_run:
        raise UsageError("-o/--output_file is missing; give the file to write, or add --dry_run")

    from frcnn.api.pruning import prune_file
    from frcnn.sealing.keys import resolve_key

    key = resolve_key(args.key, None)
    args.model = found_model(args.model)
    target = None if args.dry_run else output_file(args.output_file, key)[0]
    if target is not None and target.exists() and not args.force:
        itself = " and is the model to prune" if target.resolve() == args.model.resolve() else ""
        raise UsageError(f"{target}: exists{itself}; name another output with -o, or add --force")
    report = prune_file(args.model, target, settings, key).report
    _show(report, target)
    if args.results_dir is not None:
        from frcnn.files import write_text

        write_text(args.results_dir / REPORT, report.to_json())
    return {"kpi": _kpi(report, target)}


def output_file(given: Path, key: str) -> tuple[Path, str]:
    """Returns the path of the pruned model and the key to seal it with.

    Args:
        given: Path given by the user. `.tlt` is sealed if there is a key. `.keras` and TAO's `.hdf5` and
            `.h5` are plain. Other names get the suffix of the format written.
        key: Key; empty for none.

    Returns:
        Tuple of path and key; the key is empty for a plain model.
    """
    if given.suffix in PLAIN_SUFFIXES:
        if key:
            log.warning("%s is written unencrypted because of its suffix; use .tlt to seal it", given)
        if given.suffix != ".keras":
            log.warning("%s is a Keras archive despite its suffix", given)
        return given, ""
    if given.suffix == ".tlt":
        if not key:
            log.warning("%s is written unencrypted because no key is set", given)
        return given, key
    named = given.with_name(f"{given.name}{'.tlt' if key else '.keras'}")
    log.info("Writing %s: %s has no known model file suffix", named, given.name)
    return named, key


def _settings(args: argparse.Namespace) -> PruneSettings:
    has_target = args.target_params is not None or args.target_flops is not None
    if has_target and args.pruning_threshold is not None:
        raise UsageError(
            f"-pth {args.pruning_threshold:g} cannot be combined with a target, which determines the "
            "threshold; give one of them"
        )
    return PruneSettings(
        normalizer=args.normalizer,
        equalization_criterion=args.equalization_criterion,
        pruning_granularity=args.pruning_granularity,
        pruning_threshold=DEFAULT_THRESHOLD if args.pruning_threshold is None else args.pruning_threshold,
        min_num_filters=args.min_num_filters,
        excluded_layers=tuple(args.excluded_layers),
        target_params=args.target_params,
        target_flops=args.target_flops,
        rois=args.rois,
    )


def _show(report: "PruneReport", target: Path | None) -> None:
    for each in report.unprunable:
        log.warning("Cannot prune %s", each)
    if report.after == report.before:
        log.warning("No filters were pruned. To prune more, raise -pth or lower -nf or -pg.")
    settings = report.settings
    lines = [report.table(), ""]
    if settings.has_target:
        lines.append(f"Threshold found: -pth {report.threshold}")
    lines.append(f"Operations left: {report.flops_ratio:.4f} (one image, {settings.rois} RoIs)")
    lines.append(f"Pruning ratio (pruned model / original model): {report.pruning_ratio:.6g}")
    lines.append("nothing written (--dry_run)" if target is None else f"pruned model: {target}")
    sys.stdout.write("\n".join(lines) + "\n")


def _kpi(report: "PruneReport", target: Path | None) -> dict[str, float]:
    """Returns the figures of TAO: ratio, file size in MiB, parameters in millions."""
    size = {} if target is None else {"size": target.stat().st_size / 2**20}
    return {"pruning_ratio": report.pruning_ratio, **size, "param_count": report.after.params / 1e6}
