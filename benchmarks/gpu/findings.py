"""Findings of the GPU benchmark: what a section reports, as lines, as a table and as one JSON file."""

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table


class Verdict(StrEnum):
    """What a finding says about the GPU code."""

    OK = "ok"
    WRONG = "WRONG"
    MEASURED = "measured"
    NOT_RUN = "not run"


STYLES = {Verdict.OK: "green", Verdict.WRONG: "bold red", Verdict.NOT_RUN: "yellow", Verdict.MEASURED: ""}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the result.

    Attributes:
        section: Name of the section.
        what: What was checked or measured.
        value: Result, with its unit.
        verdict: Whether that is right, wrong, only a figure, or was not run.
        expected: Condition that makes the value right, or the reason why it was not run.
        data: All single figures, for the JSON file.
    """

    section: str
    what: str
    value: str
    verdict: Verdict
    expected: str = ""
    data: dict[str, Any] = dataclasses.field(default_factory=dict)


class Notebook:
    """File to which a section appends its findings at once, so that those of a killed section are kept."""

    def __init__(self, path: Path, section: str) -> None:
        """Opens the file of a section.

        Args:
            path: File, created if missing.
            section: Name of the section.
        """
        self._path, self._section = path, section

    def measured(self, what: str, value: str, **data: Any) -> None:
        """Adds a figure.

        Args:
            what: What was measured.
            value: Figure with its unit.
            data: Single figures.
        """
        self._add(what, value, Verdict.MEASURED, "", data)

    def checked(self, what: str, value: str, right: bool, expected: str, **data: Any) -> None:
        """Adds the result of a check.

        Args:
            what: What was checked.
            value: Result.
            right: Whether the result is as expected.
            expected: Condition that makes the result right.
            data: Single figures.
        """
        self._add(what, value, Verdict.OK if right else Verdict.WRONG, expected, data)

    def not_run(self, what: str, reason: str) -> None:
        """Adds something that could not be run.

        Args:
            what: What was not run.
            reason: One sentence that says why.
        """
        self._add(what, "", Verdict.NOT_RUN, reason, {})

    def _add(self, what: str, value: str, verdict: Verdict, expected: str, data: dict[str, Any]) -> None:
        finding = Finding(self._section, what, value, verdict, expected, data)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(dataclasses.asdict(finding)) + "\n")


def read_findings(path: Path) -> list[Finding]:
    """Reads the findings of a section; a last line that was cut off by a kill is left out.

    Args:
        path: File of a notebook; need not exist.

    Returns:
        The findings, in the order in which they were added.
    """
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    fields = [json.loads(line) for line in lines]
    return [Finding(**{**each, "verdict": Verdict(each["verdict"])}) for each in fields]


def table(findings: Iterable[Finding]) -> Table:
    """Returns all findings as one table.

    Args:
        findings: Findings of all sections.
    """
    found = Table("section", "what", "value", "verdict", "expected, or why not run", title="GPU")
    last = ""
    for each in findings:
        section, last = ("" if each.section == last else each.section), each.section
        style = STYLES[each.verdict]
        verdict = f"[{style}]{each.verdict}[/]" if style else str(each.verdict)
        found.add_row(section, escape(each.what), escape(each.value), verdict, escape(each.expected))
    return found


def write_json(path: Path, findings: Iterable[Finding], seconds: dict[str, float]) -> None:
    """Writes the findings as JSON to attach to a report; the file appears whole or not at all.

    Args:
        path: File to write.
        findings: Findings of all sections.
        seconds: Seconds that each section took.
    """
    content = {"format": 1, "seconds": seconds, "findings": [dataclasses.asdict(each) for each in findings]}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1)
        stream.write("\n")
    Path(name).replace(path)
