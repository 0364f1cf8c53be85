"""Commands in the pages and in `--help`: their tasks, flags and example files exist and fit together."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from frcnn.cli.task_runner import parse, resolve_common_flags
from frcnn.cli.tasks import Task, all_tasks
from frcnn.errors import UsageError

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


def examples_of(task: Task) -> Iterator[str]:
    """Commands in the examples at the end of a task's `--help`."""
    lines = re.sub(r"\\\n\s*", " ", importlib.import_module(task.module).EXAMPLES).splitlines()
    return (line.strip() for line in lines if re.match(r"\s*(?:\w+=\S* )*frcnn ", line))


ALL = [
    pytest.param(command, id=f"{page.relative_to(ROOT)}: {command[:50]}")
    for page in PAGES
    for command in commands_of(page)
] + [
    pytest.param(command, id=f"frcnn {task.name} --help: {command[:50]}")
    for task in all_tasks().values()
    for command in examples_of(task)
]


def test_the_pages_have_commands():
    assert len(ALL) > 60


@pytest.fixture
def environment_put_back(monkeypatch):
    """Variables that the flags set are put back."""
    for name in ("CUDA_VISIBLE_DEVICES", "TF_CPP_MIN_LOG_LEVEL", "KERAS_BACKEND", "KERAS_HOME"):
        monkeypatch.setenv(name, "")


@pytest.mark.usefixtures("environment_put_back")
@pytest.mark.parametrize("command", ALL)
def test_a_command_has_flags_that_exist_and_fit_together(command, capsys):
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
        args = parse(task, importlib.import_module(task.module), words[length:], "frcnn")
        resolve_common_flags(task, args)
    except SystemExit:
        pytest.fail(f"{command}\n{capsys.readouterr().err}")
    except UsageError as error:
        pytest.fail(f"{command}\n{error}")


@pytest.mark.parametrize("command", ALL)
def test_sealed_files_are_named_only_where_a_key_is_given(command):
    """Without a key, a training writes `.keras` files."""
    if re.search(r"\.e?tlt\b", _END.split(command)[0]):
        assert re.search(r" -k |FRCNN_KEY", command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_example_files_that_are_named_exist(page):
    named = set(re.findall(r"(?<![\w/.])examples/[\w/.]+\w(?![\w*])", page.read_text("utf-8")))
    assert [name for name in named if not (ROOT / name).exists()] == []
