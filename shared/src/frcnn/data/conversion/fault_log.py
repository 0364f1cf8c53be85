"""`<output>_warning.json`: every fault of a conversion, written as they come."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from frcnn.data.conversion.faults import Fault, FaultKind

# So many are named in an error message; the file has them all.
SHOWN = 10


def warning_path(output: Path) -> Path:
    """Where the faults of a conversion to the prefix `output` are listed."""
    return output.with_name(f"{output.name}_warning.json")


class FaultLog:
    """Writes faults into a JSON list, one a line, and keeps counts and the first few."""

    def __init__(self, stream: TextIO) -> None:
        """`stream` must stay open until `close`."""
        self._stream = stream
        self.counts: Counter[FaultKind] = Counter()
        self.first: list[Fault] = []

    def add(self, faults: Iterable[Fault]) -> None:
        """Appends to the list."""
        for fault in faults:
            self._stream.write(",\n" if self.counts else "[\n")
            self._stream.write(json.dumps(fault.to_json(), ensure_ascii=False))
            self.counts[fault.kind] += fault.count
            if len(self.first) < SHOWN:
                self.first.append(fault)

    def close(self) -> None:
        """Ends the list; an empty one is a list too."""
        self._stream.write("\n]\n" if self.counts else "[]\n")

    def message(self) -> str:
        """The first few faults, and how many there are in all."""
        lines = [f"{self.counts.total()} faults in the data set", *map(str, self.first)]
        if self.counts.total() > len(self.first):
            lines.append("...")
        return "\n  ".join(lines)
