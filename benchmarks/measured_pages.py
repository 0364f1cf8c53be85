"""Writes measurements into pages, between two markers."""

import dataclasses
from pathlib import Path

from benchmarks.conditions import MAX_OTHER_LOAD

BEGIN, END = "<!-- measurements -->", "<!-- end of measurements -->"


@dataclasses.dataclass(frozen=True)
class Row:
    """Measured value.

    Attributes:
        what: What was measured.
        value: Median, with its unit.
        spread: Smallest and largest single measurement.
        also: Memory, or other values.
        main: Whether README.md shows it.
    """

    what: str
    value: str
    spread: str = ""
    also: str = ""
    main: bool = False


@dataclasses.dataclass(frozen=True)
class Part:
    """Measurements of one benchmark.

    Attributes:
        command: Command that repeats them.
        short: Whether it was a short run.
        date: Date in UTC, `2026-11-29`.
        machine: CPU and number of cores.
        busy: Fraction of all cores that other programs used; `None` if unknown.
        revision: Commit; empty outside of git.
        versions: Versions of packages by name.
        rows: Measured values.
    """

    command: str
    short: bool
    date: str
    machine: str
    busy: float | None
    revision: str
    versions: dict[str, str]
    rows: list[Row]


def details(parts: dict[str, Part]) -> str:
    """Makes the text of the page that shows everything.

    Args:
        parts: Measurements by name.

    Returns:
        Markdown: for each part its conditions in one sentence and a table; empty without a part.
    """
    return "\n".join(_details(part) for part in parts.values())


def _details(part: Part) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in part.versions.items())
    facts = [f"`{part.command}`", part.date, f"commit {part.revision}" if part.revision else "", part.machine]
    facts += [_load(part.busy), "a short run" if part.short else ""]
    lines = [
        f"{', '.join(fact for fact in facts if fact)}. {versions[:1].upper()}{versions[1:]}.",
        "",
        "| | median | range | |",
        "| --- | --- | --- | --- |",
        *(f"| {row.what} | {row.value} | {row.spread} | {row.also} |" for row in part.rows),
    ]
    return "".join(f"{line}\n" for line in lines)


def summary(parts: dict[str, Part]) -> str:
    """Makes the text of README.md, which shows the main rows of complete runs.

    Args:
        parts: Measurements by name.

    Returns:
        Markdown: a table, and when and where it was measured; empty without a main row.
    """
    shown = [part for part in parts.values() if not part.short and any(row.main for row in part.rows)]
    if not shown:
        return ""
    dates, machines = ({getattr(part, name): None for part in shown} for name in ("date", "machine"))
    lines = ["| | |", "| --- | --- |"]
    lines += [f"| {row.what} | {row.value} |" for part in shown for row in part.rows if row.main]
    lines += ["", f"Measured on {' and '.join(dates)} on {' and '.join(machines)}, by `make measurements`."]
    return "".join(f"{line}\n" for line in lines)


def _load(busy: float | None) -> str:
    if busy is None:
        return "load unknown"
    return "quiet" if busy < MAX_OTHER_LOAD else f"other programs used {busy:.0%} of it"


def replaced(page: str, text: str) -> str:
    """Replaces what is between the markers of a page.

    Args:
        page: Text of the page.
        text: Text to put between the markers.

    Returns:
        The new page.

    Raises:
        ValueError: The page does not have both markers once, in order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"expected {BEGIN} and {END} once")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


PAGES = {"README.md": summary, "benchmarks/README.md": details}


def write_pages(parts: dict[str, Part], root: Path) -> list[Path]:
    """Writes the measurements into the pages; a page for which there are none stays as it is.

    Args:
        parts: Measurements by name.
        root: Checkout.

    Returns:
        The pages that changed.
    """
    changed = []
    for name, make in PAGES.items():
        path, text = root / name, make(parts)
        page = path.read_text()
        if text and (new := replaced(page, text)) != page:
            path.write_text(new)
            changed.append(path)
    return changed
