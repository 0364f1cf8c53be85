"""Protects output files: a run replaces only files that an earlier run wrote.

A folder of labels or images looks the same whether people or a detector wrote it. A run therefore leaves a
hidden mark in its output folders, and overwrites files only if the mark exists.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from frcnn.console.foreign_text import printable
from frcnn.errors import UsageError
from frcnn.files import write_text

MARK = ".written_by_frcnn_inference"
_TEXT = "frcnn inference wrote files here. It replaces files of the same names when it runs again.\n"


def claim_folder(folder: Path, names: Iterable[Path], field: str) -> None:
    """Checks whether a run may write its files to a folder, and marks the folder.

    Args:
        folder: Output folder; created if missing.
        names: Files that will be written, relative to the folder.
        field: Spec field that names the folder, for messages.

    Raises:
        UsageError: One of the files exists, and no earlier run marked the folder.
    """
    if (folder / MARK).is_file():
        return
    taken = next((name for name in names if os.path.lexists(folder / name)), None)
    if taken is not None:
        raise UsageError(
            f"{field}: {printable(folder / taken, None)} exists, and no earlier run of inference wrote to "
            "this folder. Choose another folder, or move the file: the run would overwrite it."
        )
    write_text(folder / MARK, _TEXT)
