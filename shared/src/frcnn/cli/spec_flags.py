"""Flags of all tasks that take a spec: the file, and settings of single fields."""

import argparse
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.distributed.world import rank_info
from frcnn.errors import UsageError

if TYPE_CHECKING:
    from frcnn.spec import DatasetExportConfig, Experiment

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


def add_set_flag(parser: argparse.ArgumentParser, example: str = "training_config.num_epochs=5") -> None:
    """Adds `--set`.

    Args:
        parser: Parser of the command.
        example: Setting to show in the help text, one of the kind of spec that the command takes.
    """
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help=f"set one field of the spec, such as {example}; can be repeated",
    )


def add_file_marker(parser: argparse.ArgumentParser) -> None:
    """Adds `-e` to a command whose spec is a positional argument, so that both forms work."""
    parser.add_argument(
        *("-e", "--experiment_spec"), action="store_true", help="may precede the spec, as in other commands"
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


def spec_in(path: Path, settings: Sequence[str] = (), *, remarks: bool = False) -> "Experiment":
    """Loads an experiment spec, for example for a look at single fields.

    Args:
        path: File of the spec.
        settings: Settings of single fields.
        remarks: Whether to log warnings.

    Returns:
        The checked spec.

    Raises:
        SpecError: The file cannot be read, or the spec or the settings have errors.
    """
    from frcnn.spec.load import parse_experiment, read_text

    return parse_experiment(read_text(path), str(path), remarks=remarks, settings=settings).spec


def load_convert_spec(path: Path, settings: Sequence[str] = ()) -> "DatasetExportConfig":
    """Loads a dataset_convert spec.

    Args:
        path: File of the spec.
        settings: Values of `--set`.

    Returns:
        The checked spec.

    Raises:
        SpecError: The file cannot be read, or the spec or the settings have errors.
    """
    from frcnn.spec import load_dataset_export

    return load_dataset_export(path, settings)


def with_images(spec: "Experiment", folder: Path) -> "Experiment":
    """Replaces the image folder of the validation set.

    Args:
        spec: Experiment spec.
        folder: Folder of the images.

    Returns:
        Changed copy.

    Raises:
        UsageError: The folder does not exist, or the spec has several data sources.
    """
    if not folder.is_dir():
        raise UsageError(f"--images {folder}: no such folder")
    data = spec.dataset_config
    if data.validation_data_source is not None:
        source = dataclasses.replace(data.validation_data_source, image_directory_path=str(folder))
        data = dataclasses.replace(data, validation_data_source=source)
    elif len(data.data_sources) == 1:
        source = dataclasses.replace(data.data_sources[0], image_directory_path=str(folder))
        data = dataclasses.replace(data, data_sources=(source,))
    else:
        raise UsageError(
            f"--images {folder}: the spec has {len(data.data_sources)} data_sources; add --tfrecords, or set "
            "dataset_config.data_sources[N].image_directory_path with --set"
        )
    return dataclasses.replace(spec, dataset_config=data)


def _log_more(args: argparse.Namespace, spec: "Experiment") -> None:
    from frcnn.console.logs import setup_logging
    from frcnn.spec.show import effective_text

    if spec.verbose and not args.verbose:
        setup_logging(True, args.log_file)
    log.debug("Effective spec:\n%s", effective_text(spec))
