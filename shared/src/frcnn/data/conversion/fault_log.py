"""Writes `<output>_warning.json`, the list of all issues of a conversion, while it runs."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from frcnn.data.conversion.faults import DataIssue, IssueKind

# Number of issues in an error message; the file lists all.
SHOWN = 10


def warning_path(output: Path) -> Path:
    """Returns the path of the issue list of a conversion to the prefix `output`."""
    return output.with_name(f"{output.name}_warning.json")


class IssueLog:
    """Writer of a JSON list with one issue per line; keeps counts and the first few issues."""

    def __init__(self, stream: TextIO) -> None:
        """Creates the log.

        Args:
            stream: Text stream, which must stay open until `close`.
        """
        self._stream = stream
        self.counts: Counter[IssueKind] = Counter()
        self.first: list[DataIssue] = []

    def add(self, faults: Iterable[DataIssue]) -> None:
        """Appends issues to the list."""
        for fault in faults:
            self._stream.write(",\n" if self.counts else "[\n")
            self._stream.write(json.dumps(fault.to_json(), ensure_ascii=False))
            self.counts[fault.kind] += fault.count
            if len(self.first) < SHOWN:
                self.first.append(fault)

    def close(self) -> None:
        """Completes the JSON list, even if it is empty."""
        self._stream.write("\n]\n" if self.counts else "[]\n")

    def message(self) -> str:
        """Returns the number of issues and the first few of them, one per line."""
        lines = [f"{self.counts.total()} issues in the dataset", *map(str, self.first)]
        if self.counts.total() > len(self.first):
            lines.append("...")
        return "\n  ".join(lines)
