"""Flags of all tasks that take a spec: the file, and settings of single fields."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.distributed.world import rank_info

if TYPE_CHECKING:
    from frcnn.spec import Experiment

log = logging.getLogger(__name__)


def add_spec_flags(parser: argparse.ArgumentParser, text: str = "experiment spec, protobuf text") -> None:
    """Adds `-e` and `--set`.

    Args:
        parser: Parser of the command.
        text: Help text of `-e`.
    """
    parser.add_argument(
        *("-e", "--experiment_spec", "--experiment_spec_file"),
        type=Path,
        required=True,
        metavar="FILE",
        help=text,
    )
    add_set_flag(parser)


def add_set_flag(parser: argparse.ArgumentParser) -> None:
    """Adds `--set`.

    Args:
        parser: Parser of the command.
    """
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="set one field of the spec, such as training_config.num_epochs=5; can be repeated",
    )


def load_spec(args: argparse.Namespace, own: Sequence[str] = ()) -> "Experiment":
    """Loads the experiment spec. Enables verbose logging if the spec does.

    Args:
        args: Parsed flags, including the common ones.
        own: Settings from other flags of the task; they take precedence over `--set`.

    Returns:
        The checked spec.

    Raises:
        SpecError: The file cannot be read, or the spec or the settings have errors.
    """
    from frcnn.spec import load_experiment

    spec = load_experiment(args.experiment_spec, [*args.settings, *own])
    if rank_info().rank == 0:
        _log_more(args, spec)
    return spec


def _log_more(args: argparse.Namespace, spec: "Experiment") -> None:
    from frcnn.console.logs import setup_logging
    from frcnn.spec.show import effective_text

    if spec.verbose and not args.verbose:
        setup_logging(True, args.log_file)
    log.debug("Effective spec:\n%s", effective_text(spec))
