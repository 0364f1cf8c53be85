"""Commands in the pages: their tasks, flags and example files exist."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from frcnn.cli.task_runner import parse
from frcnn.cli.tasks import all_tasks

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for pattern in ("README.md", "docs/*.md", "*/*/README.md", "examples/**/*.txt")
    for page in ROOT.glob(pattern)
)
# Where a shell would end the command or its words.
_END = re.compile(r"\s(?:#|;|&&|\|\|?|>|2>)(?:\s|$)|;\s|;$|\s{3,}(?=[^-\s\"'])")
_CHOICE = re.compile(r"\[|\.\.\.|<")


def commands_of(page: Path) -> Iterator[str]:
    """Commands in indented or fenced blocks, or in comments of a spec, with continued lines joined."""
    marker = r"^#\s+(?:\$ )?(frcnn .*)$" if page.suffix == ".txt" else r"^\s*(?:\$ )?((?:\w+=\S* )*frcnn .*)$"
    text = re.sub(r"\\\n#?\s*", " ", page.read_text("utf-8"))
    fenced = False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        found = re.match(marker, line)
        if found and (fenced or line.startswith(("    ", "#"))):
            yield found[1]


ALL = [
    pytest.param(command, id=f"{page.relative_to(ROOT)}: {command[:50]}")
    for page in PAGES
    for command in commands_of(page)
]


def test_the_pages_have_commands():
    assert len(ALL) > 60


@pytest.mark.parametrize("command", ALL)
def test_a_command_has_flags_that_exist(command, capsys):
    words = shlex.split(_END.split(command)[0])
    while "=" in words[0]:
        words = words[1:]
    tasks, words = all_tasks(), words[1:]
    # The name of a task has one or two words.
    length = 2 if " ".join(words[:2]) in tasks else 1
    name = " ".join(words[:length])
    assert name in tasks
    if any(_CHOICE.search(word) for word in words) or {"--help", "-h"} & set(words):
        return  # a pattern of commands, not one of them
    task = tasks[name]
    try:
        parse(task, importlib.import_module(task.module), words[length:], "frcnn")
    except SystemExit:
        pytest.fail(f"{command}\n{capsys.readouterr().err}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_example_files_that_are_named_exist(page):
    named = set(re.findall(r"(?<![\w/.])examples/[\w/.]+\w(?![\w*])", page.read_text("utf-8")))
    assert [name for name in named if not (ROOT / name).exists()] == []
