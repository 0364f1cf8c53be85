"""Writes `status.json`: the state of a run as one JSON record per line, for monitoring programs.

Keys are those of TAO: date, time, status, verbosity, message, and optional `graphical`, `kpi` and
`categorical` objects, epoch, max_epoch, time_per_epoch, eta.
"""

import datetime
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, SupportsFloat, TypeAlias

from frcnn.console.foreign_text import utf8

Status: TypeAlias = Literal["STARTED", "RUNNING", "SUCCESS", "FAILURE", "SKIPPED"]
FILE_NAME = "status.json"


class StatusWriter:
    """Appends records to `<folder>/status.json`. The first record creates the folder."""

    def __init__(self, folder: Path) -> None:
        """Creates a writer without writing anything."""
        self.path = folder / FILE_NAME

    def write(self, status: Status, message: str, **extra: object) -> None:
        """Appends one record in a single write, so that readers never see half a line.

        Args:
            status: State of the run.
            message: Message for people.
            extra: Further keys. Values may be numbers (NumPy's too), strings, lists and mappings.
                Numbers that are not finite become null.
        """
        now = datetime.datetime.now()
        record = {
            "date": f"{now.month}/{now.day}/{now.year}",
            "time": f"{now.hour}:{now.minute}:{now.second}",
            "status": status,
            "verbosity": "ERROR" if status == "FAILURE" else "INFO",
            "message": message,
            **extra,
        }
        line = json.dumps(_plain(record), ensure_ascii=False, allow_nan=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            # An earlier run may have been interrupted in the middle of a line.
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = "\n" + line
            os.write(descriptor, utf8(line).encode())
        except OSError as error:
            error.filename = str(self.path)  # for the message; errors of `write` have no name
            raise
        finally:
            os.close(descriptor)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, SupportsFloat):
        number = float(value)
        return number if math.isfinite(number) else None
    return str(value)
