"""Text from outside is one line without control characters wherever it is shown."""

import logging
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frcnn.console.foreign_text import SHOWN_CHARACTERS, printable, printable_lines, utf8
from frcnn.console.logs import setup_logging


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("car", "car"),
        ("Füße 车 [/x] $5_$10 <b>", "Füße 车 [/x] $5_$10 <b>"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("\x9b31m\x00\x7f", "\\x9b31m\\x00\\x7f"),  # C1, NUL, DEL
        ("gpj.\u202egnp", "gpj.\\u202egnp"),  # reads as another extension
        (os.fsdecode(b"caf\xe9.jpg"), "caf\\xe9.jpg"),
        ("\ud800", "\\ud800"),
        (3, "3"),
    ],
)
def test_what_a_terminal_might_obey_is_escaped(text, shown):
    assert printable(text) == shown


def test_long_text_is_cut_and_says_so():
    assert printable("x" * 30_000_000) == "x" * SHOWN_CHARACTERS + "..."
    assert printable("x" * 300, None) == "x" * 300
    assert len(printable("\x1b" * 1000)) == 4 * SHOWN_CHARACTERS + 3


@given(st.text(st.characters()))
def test_every_text_becomes_one_line_that_any_stream_takes(text):
    shown = printable(text, None)
    assert shown.isprintable()
    shown.encode("utf-8")
    assert "\x1b" not in printable_lines(text)
    assert printable_lines(text).count("\n") == text.count("\n")
    utf8(text).encode("utf-8")


def test_log_lines_hold_no_control_characters_of_what_they_quote(tmp_path, capsys):
    setup_logging(False, tmp_path / "log.txt")
    logging.getLogger("frcnn.test").warning(
        "%s: broken\n  second line", f"\x1b[31m{os.fsdecode(bytes([233]))}"
    )
    shown = capsys.readouterr().err + (tmp_path / "log.txt").read_text("utf-8")
    assert "\x1b" not in shown
    assert shown.count("\\x1b[31m\\xe9: broken\n  second line") == 2
