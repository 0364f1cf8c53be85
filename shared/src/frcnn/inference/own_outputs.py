"""Files of a run that may be replaced: those that an earlier run wrote, and no others.

A folder of labels or images looks the same whether people made them or a detector did. So a run leaves a
hidden mark in the folders it writes to, and writes over files only where the mark is.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from frcnn.console.foreign_text import printable
from frcnn.errors import UsageError
from frcnn.files import write_text

MARK = ".written_by_frcnn_inference"
_TEXT = "frcnn inference wrote files here, and replaces those of the same names when it runs again.\n"


def claim_folder(folder: Path, names: Iterable[Path], field: str) -> None:
    """Makes sure that a run may write its files into a folder, and marks it.

    Args:
        folder: Output folder; made if missing.
        names: Files that will be written, relative to it.
        field: Spec field that names the folder, for the message.

    Raises:
        UsageError: One of the files exists, and no earlier run has marked the folder.
    """
    if (folder / MARK).is_file():
        return
    taken = next((name for name in names if os.path.lexists(folder / name)), None)
    if taken is not None:
        raise UsageError(
            f"{field}: {printable(folder / taken, None)} exists, and no earlier run of inference wrote to "
            f"this folder; "
            "it would be replaced by detections. Name another folder, or move the files away"
        )
    write_text(folder / MARK, _TEXT)
