import logging

import pytest

from frcnn.console.logs import setup_logging
from frcnn.errors import UsageError


@pytest.fixture(autouse=True)
def logging_left_alone():
    root, ours = logging.getLogger(), logging.getLogger("frcnn")
    before = root.level, ours.level
    yield
    for handler in [each for each in root.handlers if getattr(each, "of_frcnn", False)]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(before[0])
    ours.setLevel(before[1])


def test_lines_go_to_standard_error_and_standard_output_stays_free(capsys):
    setup_logging(verbose=False, log_file=None)
    logging.getLogger("frcnn.data").info("205 images")
    logging.getLogger("frcnn.data").debug("detail")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("INFO    205 images\n")


def test_verbose_adds_debug_lines_with_the_name_of_their_logger(capsys):
    setup_logging(verbose=True, log_file=None)
    logging.getLogger("frcnn.data").debug("detail")
    assert "DEBUG   frcnn.data: detail" in capsys.readouterr().err


def test_third_parties_speak_only_when_something_is_wrong(capsys):
    setup_logging(verbose=True, log_file=None)
    logging.getLogger("matplotlib").info("found a font")
    logging.getLogger("matplotlib").warning("no font")
    err = capsys.readouterr().err
    assert "found a font" not in err
    assert "no font" in err


def test_the_file_is_appended_to_and_holds_debug_lines(tmp_path, capsys):
    path = tmp_path / "logs" / "run.log"
    for number in (1, 2):
        setup_logging(verbose=False, log_file=path)
        logging.getLogger("frcnn.data").debug("run %d", number)
    lines = path.read_text().splitlines()
    assert [line.split("frcnn.data: ")[1] for line in lines] == ["run 1", "run 2"]
    assert capsys.readouterr().err == ""


def test_setting_up_twice_writes_each_line_once(capsys):
    setup_logging(verbose=False, log_file=None)
    setup_logging(verbose=False, log_file=None)
    logging.getLogger("frcnn").warning("once")
    assert capsys.readouterr().err.count("once") == 1


def test_a_log_file_that_cannot_be_written_is_a_usage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write the log file"):
        setup_logging(verbose=False, log_file=tmp_path / "file" / "run.log")
