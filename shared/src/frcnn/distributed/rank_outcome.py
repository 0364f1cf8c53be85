"""What became of a rank: a small file it leaves for the process that started it."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

from frcnn.files import write_text

FOLDER_VARIABLE = "FRCNN_OUTCOMES"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`code` is the exit code (0: done), `result` what a rank that is done has to show.

    `secondary` marks failures that others caused: a lost peer, a signal to end.
    """

    rank: int
    code: int
    message: str = ""
    secondary: bool = False
    result: Mapping[str, object] = dataclasses.field(default_factory=dict)

    def leave(self) -> None:
        """Writes the file, if this process was started by one that wants to know."""
        if folder := os.environ.get(FOLDER_VARIABLE):
            write_text(Path(folder) / f"{self.rank}.json", json.dumps(dataclasses.asdict(self)))


def outcomes_in(folder: Path) -> dict[int, Outcome]:
    """What the ranks that had time to say something have left, by rank."""
    found = (Outcome(**json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob("*.json"))
    return {outcome.rank: outcome for outcome in sorted(found, key=lambda each: each.rank)}
