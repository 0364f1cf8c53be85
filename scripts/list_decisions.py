"""Lists the decisions in docs/adr/README.md by the titles of the pages. `make spec-docs` runs this."""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "docs/adr"


def listed(text: str) -> str:
    """Replaces the list of a page.

    Args:
        text: Page whose last part is the list.

    Returns:
        Page with a line for each decision.
    """
    head = text.split("\n* ", 1)[0].rstrip()
    titles = {page.name: page.read_text("utf-8").split("\n", 1)[0] for page in sorted(FOLDER.glob("0*.md"))}
    lines = [re.sub(r"# (\d+)\. (.*)", rf"* \1: [\2]({name})", title) for name, title in titles.items()]
    return "\n".join([head, "", *lines]) + "\n"


if __name__ == "__main__":
    index = FOLDER / "README.md"
    index.write_text(listed(index.read_text("utf-8")), encoding="utf-8")
