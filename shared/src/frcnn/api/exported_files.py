"""Output files of `frcnn.export`: their names, and how they are written."""

import logging
from pathlib import Path
from typing import Any

from frcnn.api.engine import Engine
from frcnn.api.int8 import Int8
from frcnn.api.locations import Location, local_output
from frcnn.atomic_set import switched
from frcnn.data.settings import DataSettings
from frcnn.errors import UsageError
from frcnn.single_writer import only_writer_of

log = logging.getLogger(__name__)

SUFFIXES = (".onnx", ".etlt")


def exported_file(output_file: Location | None, model: Path, *, sealed: bool) -> Path:
    """Returns the file to export to.

    Args:
        output_file: Requested file; None for the default.
        model: Model to export.
        sealed: Whether there is a key.

    Returns:
        The file.

    Raises:
        UsageError: The suffix is unknown.
    """
    if output_file is None:
        # TAO's user guide documents the working folder as the default for the sealed file.
        return Path(f"{model.stem}.etlt") if sealed else model.with_suffix(".onnx")
    target = local_output(output_file, "output_file")
    if target.suffix not in SUFFIXES:
        raise UsageError(
            f"output_file {target}: expected a name in .onnx, or in .etlt for a sealed file",
            argument="output_file",
        )
    return target


def refuse_existing(
    target: Path, model: Path, int8: Int8, engine: Engine | None, *, gen_ds_config: bool, force: bool
) -> None:
    """Checks that no output replaces a file by accident.

    Args:
        target: Exported file.
        model: Model to export.
        int8: Additional files of an INT8 export.
        engine: Engine to build; None for none.
        gen_ds_config: Whether DeepStream's files are written.
        force: Whether existing files may be replaced.

    Raises:
        UsageError: An output exists, or is the model itself.
    """
    from frcnn.exporting.tensorrt.deepstream import CONFIG, LABELS

    if target.resolve() == model.resolve():
        raise UsageError(
            f"output_file {target}: is the model itself; choose another file", argument="output_file"
        )
    files = [target, *(target.with_name(name) for name in (LABELS, CONFIG) if gen_ds_config), *int8.files()]
    if engine is not None:
        files.append(engine.file())
    existing = [str(path) for path in files if path.exists()]
    if existing and not force:
        verb = "exist" if len(existing) > 1 else "exists"
        raise UsageError(f"{', '.join(existing)}: {verb}; name another output, or set force to replace it")


def write_together(proto: Any, target: Path, key: str, described: DataSettings | None) -> list[Path]:
    """Writes the model and DeepStream's files, replacing earlier ones in one step.

    Args:
        proto: ONNX model.
        target: Exported file.
        key: Key that seals the file; empty for a plain file.
        described: Classes and input format to write DeepStream's files from; None for no such files.

    Returns:
        DeepStream's files.

    Raises:
        PlaceBusyError: Another export writes to `target`.
        RunError: The disk is full.
    """
    from frcnn.exporting.exporter import write_onnx

    with only_writer_of(target), switched(target) as folder:
        write_onnx(proto, folder / target.name, key)
        if described is None:
            return []
        from frcnn.exporting.tensorrt.deepstream import write_deepstream_files

        written = write_deepstream_files(folder, described.class_names, described.image)
    return [target.with_name(path.name) for path in written]


def seal_key(target: Path, key: str) -> str:
    """Returns the key to seal a file with.

    Args:
        target: Exported file.
        key: Key; empty for none.

    Returns:
        The key; empty for a plain file.
    """
    if target.suffix != ".etlt":
        return ""
    if not key:
        log.warning("Writing %s without sealing: there is no key", target)
    return key
