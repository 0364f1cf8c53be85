"""Pages as a code host shows them: links lead to files and headings that exist."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "*/README.md", "components/*/README.md", "charts/*/README.md")
    for page in ROOT.glob(pattern)
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def text_of(page: Path) -> str:
    """The page without code, in which brackets mean other things."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", lambda found: found[0].replace("(", " ").replace("[", " "), text)


def anchors_of(page: Path) -> set[str]:
    """Anchors of the headings, as code hosts name them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), flags=re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "") for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    broken = []
    for target in LINK.findall(text_of(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        if not found.exists() or (anchor and anchor not in anchors_of(found)):
            broken.append(target)
    assert broken == []


def test_the_list_of_decisions_is_current():
    """If this fails, run `make spec-docs`."""
    found = importlib.util.spec_from_file_location("list_decisions", ROOT / "scripts/list_decisions.py")
    script = importlib.util.module_from_spec(found)
    found.loader.exec_module(script)
    text = (ROOT / "docs/adr/README.md").read_text("utf-8")
    assert script.listed(text) == text
    assert text.count("\n* ") == len(list((ROOT / "docs/adr").glob("0*.md")))
