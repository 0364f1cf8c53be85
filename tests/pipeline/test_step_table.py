"""The table of steps at the foot of a terminal."""

import io

from rich.console import Console

from pipelines.local.step_table import StepTable


def shown(table):
    text = io.StringIO()
    Console(file=text, width=60).print(table._table())
    return [line.split() for line in text.getvalue().splitlines()]


def test_steps_wait_run_and_end():
    table = StepTable(["convert", "evaluate retrained"], enabled=False)
    assert shown(table)[1:] == [["convert", "waiting"], ["evaluate", "retrained", "waiting"]]
    table.begin("convert")
    assert shown(table)[1][:2] == ["convert", "running"]
    table.end("convert", "done", 1.25)
    assert shown(table)[1] == ["convert", "done", "1.2"]


def test_what_steps_say_stands_above_the_table_as_it_is(capsys):
    with StepTable(["convert"], enabled=True) as table:
        table.say("drawing [bold]1/2[/bold]")
    shown_at = capsys.readouterr().err
    assert "drawing [bold]1/2[/bold]" in shown_at
    assert shown_at.index("drawing") < shown_at.rindex("convert")


def test_without_a_terminal_nothing_is_shown(capsys):
    with StepTable(["convert"]) as table:
        table.begin("convert")
    assert capsys.readouterr().err == ""
