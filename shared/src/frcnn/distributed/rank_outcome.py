"""Exit status and result of one rank, passed to the starting process in a small file."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

from frcnn.files import write_text

FOLDER_VARIABLE = "FRCNN_OUTCOMES"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Exit status and result of one rank.

    Attributes:
        rank: Rank of the process.
        code: Exit code; 0 for success.
        message: Error message; empty for success.
        secondary: Whether another rank's failure or a signal caused the failure.
        result: Result of a successful rank.
    """

    rank: int
    code: int
    message: str = ""
    secondary: bool = False
    result: Mapping[str, object] = dataclasses.field(default_factory=dict)

    def leave(self) -> None:
        """Writes the file if the starting process has asked for it."""
        if folder := os.environ.get(FOLDER_VARIABLE):
            write_text(Path(folder) / f"{self.rank}.json", json.dumps(dataclasses.asdict(self)))


def outcomes_in(folder: Path) -> dict[int, Outcome]:
    """Reads the outcomes that ranks have written.

    Args:
        folder: Folder of the outcome files.

    Returns:
        Outcomes by rank. Ranks that were killed have none.
    """
    found = (Outcome(**json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob("*.json"))
    return {outcome.rank: outcome for outcome in sorted(found, key=lambda each: each.rank)}
