"""Output of tasks has no control characters, on the terminal and in --log_file."""

import os
import sys
from types import SimpleNamespace

from frcnn.cli import task_runner
from frcnn.cli.tasks import all_tasks


def _printing(text):
    def run(args):
        sys.stdout.write(text)

    return SimpleNamespace(HELP="", EXAMPLES="", add_arguments=lambda parser: None, run=run, __name__="x.y")


def test_names_are_escaped_once_on_the_terminal_and_in_the_log_file(tmp_path, capsys):
    text = f"layer \x1b]0;owned\x07\t{os.fsdecode(bytes([0xE9]))}\nsecond line\n"
    log = tmp_path / "log.txt"
    assert task_runner.run(all_tasks()["train"], _printing(text), ["--log_file", str(log)]) == 0
    expected = "layer \\x1b]0;owned\\x07\t\\xe9\nsecond line\n"
    assert capsys.readouterr().out.startswith(expected)
    assert log.read_text("utf-8").startswith(expected)


def test_standard_output_is_itself_again_afterwards(capsys):
    before = sys.stdout
    task_runner.run(all_tasks()["train"], _printing(""), [])
    assert sys.stdout is before
