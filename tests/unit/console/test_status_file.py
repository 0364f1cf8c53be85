import json
import re
import resource

import numpy as np
import pytest

from frcnn.console import exit_codes
from frcnn.console.status_file import StatusWriter


def records(folder):
    return [json.loads(line) for line in (folder / "status.json").read_text().splitlines()]


def test_each_record_is_a_line_with_the_keys_of_the_reference(tmp_path):
    StatusWriter(tmp_path / "results").write("STARTED", "train started")
    (record,) = records(tmp_path / "results")
    assert record.keys() == {"date", "time", "status", "verbosity", "message"}
    assert re.fullmatch(r"\d{1,2}/\d{1,2}/\d{4}", record["date"])
    assert re.fullmatch(r"\d{1,2}:\d{1,2}:\d{1,2}", record["time"])
    assert (record["status"], record["verbosity"], record["message"]) == ("STARTED", "INFO", "train started")


def test_records_are_appended_to_those_of_an_earlier_run(tmp_path):
    StatusWriter(tmp_path).write("STARTED", "first")
    StatusWriter(tmp_path).write("FAILURE", "second")
    assert [each["message"] for each in records(tmp_path)] == ["first", "second"]
    assert records(tmp_path)[1]["verbosity"] == "ERROR"


def test_numpy_numbers_become_json_numbers_and_nan_becomes_null(tmp_path):
    StatusWriter(tmp_path).write(
        "RUNNING",
        "epoch 2",
        epoch=np.int64(2),
        graphical={"loss": np.float32(0.5), "learning_rate": 1e-3, "rpn": float("nan")},
        kpi={"mean average precision": None},
        sizes=(1, np.float64(2.5)),
    )
    (record,) = records(tmp_path)
    assert record["epoch"] == 2
    assert record["graphical"] == {"loss": 0.5, "learning_rate": 0.001, "rpn": None}
    assert record["kpi"] == {"mean average precision": None}
    assert record["sizes"] == [1, 2.5]


def test_a_half_line_of_a_killed_run_does_not_spoil_the_next_record(tmp_path):
    (tmp_path / "status.json").write_text('{"status": "RUN')
    StatusWriter(tmp_path).write("STARTED", "again")
    lines = (tmp_path / "status.json").read_text().splitlines()
    assert lines[0] == '{"status": "RUN'
    assert json.loads(lines[1])["message"] == "again"


def test_nothing_is_written_before_the_first_record(tmp_path):
    StatusWriter(tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(OSError) as caught:
            StatusWriter(tmp_path).write("STARTED", "train started")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert exit_codes.message(caught.value) == (
        f"disk full while writing {tmp_path}/status.json; make room and run again"
    )
