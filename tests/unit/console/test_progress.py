import contextvars
import logging

import pytest

from frcnn.console import progress
from frcnn.console.progress import Progress, clock_time, track, training_line
from frcnn.progress import Progress as Report
from frcnn.progress import reported_to


class Clock:
    """Time that passes only when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def lines(caplog):
    """Returns the log lines of the progress so far."""
    caplog.set_level(logging.INFO, logger="frcnn.console.progress")
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_log_gets_a_line_each_ten_seconds_at_most(lines):
    clock = Clock()
    with Progress("training", 1000, clock=clock) as bar:
        for step in range(1, 61):
            clock.now += 1.0
            bar.update(step, f"step {step}/1000")
    assert [line.split(" eta ")[0] for line in lines()] == [
        f"step {step}/1000" for step in (10, 20, 30, 40, 50, 60)
    ]


def test_eta_leaves_out_the_first_step_which_compiles(lines):
    clock = Clock()
    with Progress("training", 101, clock=clock) as bar:
        clock.now += 60.0  # compiling
        bar.update(1, "step 1")
        clock.now += 10.0
        bar.update(6, "step 6")  # five steps in ten seconds, 95 to go
        assert bar.eta() == "3:10"
    assert lines()[-1] == "step 6 eta 3:10"


def test_eta_follows_the_speed_of_late(lines):
    clock = Clock()
    with Progress("training", 10_000, clock=clock) as bar:
        for step in range(1, 51):  # slow: a step each 10 s
            clock.now += 10.0
            bar.update(step)
        for step in range(60, 1060, 10):  # then ten times as fast
            clock.now += 10.0
            bar.update(step)
        assert bar.eta() == clock_time(10_000 - 1050)


def test_a_resumed_run_counts_only_its_own_steps(lines):
    clock = Clock()
    with Progress("training", 100, done=50, clock=clock) as bar:
        clock.now += 1.0
        bar.update(51)
        clock.now += 1.0
        bar.update(52)
        assert bar.eta() == "0:48"


def test_the_last_line_says_how_long_it_took(lines):
    clock = Clock()
    with Progress("converting", 3, clock=clock) as bar:
        for done in (1, 2, 3):
            clock.now += 1.0
            bar.update(done)
    assert lines() == ["converting 3/3 done in 0:03"]


def test_text_given_as_a_function_is_made_only_when_it_is_shown(lines):
    clock, calls = Clock(), []
    with Progress("training", 100, clock=clock) as bar:
        for step in range(1, 26):
            clock.now += 1.0
            bar.update(step, lambda step=step: calls.append(step) or f"step {step}")
    assert calls == [10, 20, 25]


def test_the_state_at_a_failure_is_shown(lines):
    with pytest.raises(ValueError), Progress("converting", 10, clock=Clock()) as bar:
        bar.update(4)
        raise ValueError
    assert lines() == ["converting 4/10"]


def test_ranks_that_are_not_enabled_keep_quiet(lines):
    with Progress("training", 1, enabled=False) as bar:
        bar.update(1)
    assert lines() == []


def test_more_steps_than_were_announced_leave_no_end_and_no_time_left(lines):
    clock = Clock()
    with Progress("validating", 2, clock=clock) as bar:
        for done in (1, 2, 3):
            clock.now += 11.0
            bar.update(done)
        assert bar.eta() == ""
    assert lines() == ["validating 1/2", "validating 2/2 done in 0:22", "validating 3"]


def test_a_bar_with_more_steps_than_were_announced_shows_none_of_them_as_the_end(terminal, capsys):
    clock = Clock()
    with Progress("validating", 2, clock=clock) as bar:
        for done in (1, 2, 3):
            clock.now += 11.0
            bar.update(done)
    last = capsys.readouterr().err.replace("\r", "\n").split("validating")[-1]
    assert "3/?" in last
    assert "-" not in last


def test_track_yields_every_item_and_counts(lines):
    assert list(track(["a", "b"], "reading")) == ["a", "b"]
    assert lines() == ["reading 2/2 done in 0:00"]


def test_track_without_a_length_counts_up(lines):
    assert list(track((each for each in "abc"), "reading")) == ["a", "b", "c"]
    assert lines() == ["reading 3"]


def test_track_over_nothing_says_nothing(lines):
    assert list(track([], "reading")) == []
    assert lines() == []


@pytest.fixture
def terminal(monkeypatch):
    """Makes standard error a terminal of 100 columns, for rich too."""
    monkeypatch.setattr(progress, "_is_terminal", lambda: True)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    progress._console.cache_clear()
    with progress.bars_shown():
        yield
    progress._console.cache_clear()


def test_a_terminal_gets_a_bar_with_eta_and_no_log_lines(lines, terminal, capsys):
    clock = Clock()
    with Progress("training", 4, clock=clock) as bar:
        for step in (1, 2, 3):
            clock.now += 2.0
            bar.update(step, f"loss 0.{step}")
    shown = capsys.readouterr().err
    assert "training" in shown
    assert "3/4" in shown
    assert "eta 0:02" in shown
    assert "loss 0.3" in shown
    assert lines() == []


def test_a_bar_within_a_bar_is_shown_too(lines, terminal, capsys):
    with Progress("training", 2, clock=Clock()) as outer:
        outer.update(1)
        assert list(track("abc", "validating")) == ["a", "b", "c"]
        outer.update(2)
    shown = capsys.readouterr().err
    assert "validating" in shown
    assert "3/3" in shown
    assert "2/2" in shown


def test_training_line_reads_as_documented():
    losses = {"loss": 0.94, "rpn": 0.21, "roi": 0.63, "weights": 0.10}
    assert training_line((3, 12), (400, 950), losses, 0.002, 31.2) == (
        "epoch 3/12 step 400/950 loss 0.94 (rpn 0.21 roi 0.63 weights 0.10) lr 0.0020 31 img/s"
    )


def test_training_line_keeps_small_numbers_readable():
    line = training_line((1, 1), (1, 2), {"loss": 12.5}, 1e-5, 0.52)
    assert line == "epoch 1/1 step 1/2 loss 12.50 lr 1.0e-05 0.5 img/s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (9.4, "0:09"), (845, "14:05"), (3599.6, "1:00:00"), (8045, "2:14:05")]
)
def test_clock_time(seconds, text):
    assert clock_time(seconds) == text


def test_a_command_alone_has_bars_drawn(lines, terminal, capsys):
    def draw():
        with Progress("training", 1, clock=Clock()) as bar:
            bar.update(1)

    contextvars.Context().run(draw)  # as a caller of the library, who asked for nothing
    assert capsys.readouterr().err == ""


def test_whoever_asked_is_told_at_most_four_times_a_second_and_of_the_end(lines):
    clock, seen = Clock(), []
    with reported_to(seen.append), Progress("training", 10, clock=clock) as bar:
        for step in range(1, 11):
            clock.now += 0.1
            bar.update(step, lambda: "text")
    assert [each.done for each in seen] == [1, 4, 7, 10]
    assert seen[-1] == Report("training", 10, 10, "text")
    assert lines() == []


def test_an_exception_of_a_listener_ends_the_task():
    def cancel(report):
        raise KeyError(report.done)

    with reported_to(cancel), pytest.raises(KeyError):
        list(track("abc", "reading"))
