"""How measurements become rows, and rows become pages."""

import argparse
import importlib
import sys
from pathlib import Path

import pytest

from benchmarks import measured_rows
from benchmarks.measured_pages import BEGIN, END, Part, Row, details, replaced, summary, write_pages
from benchmarks.measurements import BENCHMARKS, KEPT, command_of, load, main, runnable, save, shown_command
from benchmarks.run_export import ROWS
from benchmarks.run_speed import ROOT

PART = Part(
    command="python -m benchmarks.run_speed",
    short=False,
    date="2026-11-29",
    machine="Some CPU, 2 cores",
    busy=0.01,
    revision="abc",
    versions={"python": "3.11.9", "keras": "3.9"},
    rows=[
        Row("training step", "2.20 times as fast", "2.10 to 2.30", "900 MiB", main=True),
        Row("inference", "2.00 times as fast"),
    ],
)


def speed_row(batch, ours, peer):
    reports = {f"{side}_report": {"peak_mib": mib} for side, mib in (("ours", 1233.4), ("peer", 1024))}
    return {
        "phase": "infer",
        "precision": "float32",
        "batch": batch,
        "ours": ours,
        "peer": peer,
        **reports,
    }


def test_a_speedup_is_the_median_of_the_ratios_of_pairs():
    # The machine was half as fast in the second pair, for both.
    first, second = measured_rows.speed(
        [speed_row(1, [1.0, 2.0, 1.0], [2.0, 4.0, 3.0]), speed_row(2, [1.0], [2.0])]
    )
    assert first == Row(
        "inference, float32, batch 1",
        "2.00 times as fast",
        "2.00 to 3.00",
        "1,233 MiB (torchvision 1,024)",
        main=True,
    )
    assert not second.main


def test_an_exported_file_is_compared_with_torchvision_in_the_precision_of_its_row():
    names = {row.name: {"wall": [1.0], "report": {"peak_mib": 100}} for row in ROWS}
    found = {**names, "float32": {"wall": [3.0]}, "bfloat16": {"wall": [2.0]}}
    rows = {row.what: row.value for row in measured_rows.export(found)}
    assert len(rows) == len(ROWS)
    for precision, peer, value in (("int8", "float32", 3), ("bf16", "bfloat16", 2)):
        name = f"exported file, {precision}, openvino, compared with torchvision in {peer}"
        assert rows[name] == f"{value}.00 times as fast"
    del found["int8, openvino"]
    assert len(measured_rows.export(found)) == len(ROWS) - 1
    assert set(measured_rows.MAIN_EXPORTS) <= set(names)


def test_a_cold_start_is_told_in_cpu_seconds_and_wall_time():
    runs = [{"stages": [0.1, 0.2, 0.3, cpu], "wall": 2.0, "peak_mib": 512.4} for cpu in (0.4, 0.9, 0.5)]
    assert measured_rows.start_up({"openvino": runs}) == [
        Row(
            "cold start to the first detections of an exported file, openvino",
            "1.10 CPU s, 2.00 s",
            "1.00 to 1.50 CPU s",
            "512 MiB",
        )
    ]


def test_a_map_that_one_side_did_not_reach_gives_no_speedup():
    seeds = {"1": {"ours": 2.0, "peer": 6.0}, "2": {"ours": 2.0, "peer": 8.0}}
    (row,) = measured_rows.time_to_map({"map": 0.75, "seeds": seeds})
    assert (row.value, row.also) == ("3.50 times as fast", "2.0 min (torchvision 7.0)")
    seeds["2"]["peer"] = None
    (row,) = measured_rows.time_to_map({"map": 0.75, "seeds": seeds})
    assert (row.value, row.main) == ("not reached by all", False)


def test_a_comparison_of_the_store_names_the_calls_of_the_sdk():
    found = [{"label": "9 files, up", "what": "tar, fput", "ours": [1.0], "other": [1.5]}]
    assert measured_rows.store(found) == [
        Row("9 files, up, SDK: tar, fput", "1.50 times as fast", "1.50 to 1.50")
    ]


def test_a_part_says_where_and_when_it_was_measured():
    busy = Part(**{**vars(PART), "busy": 0.42, "short": True, "revision": ""})
    lines = details({"speed": PART, "export": busy}).splitlines()
    assert lines[0] == (
        "`python -m benchmarks.run_speed`, 2026-11-29, commit abc, Some CPU, 2 cores, quiet. "
        "Python 3.11.9, keras 3.9."
    )
    assert lines[4] == "| training step | 2.20 times as fast | 2.10 to 2.30 | 900 MiB |"
    assert lines[7] == (
        "`python -m benchmarks.run_speed`, 2026-11-29, Some CPU, 2 cores, other programs used 42% of it, "
        "a short run. Python 3.11.9, keras 3.9."
    )


def test_the_summary_shows_the_main_rows_of_complete_runs():
    short = Part(**{**vars(PART), "short": True})
    assert summary({"speed": short}) == ""
    assert summary({"speed": PART, "export": short}).splitlines()[2:] == [
        "| training step | 2.20 times as fast |",
        "",
        "Measured on 2026-11-29 on Some CPU, 2 cores, by `make measurements`.",
    ]


def test_only_what_is_between_the_markers_is_replaced():
    page = f"before {BEGIN} old {END} after"
    assert replaced(page, "new") == f"before {BEGIN}\n\nnew\n{END} after"
    assert replaced(replaced(page, "new"), "new") == replaced(page, "new")


@pytest.mark.parametrize("page", ["nothing", BEGIN, f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}"])
def test_a_page_without_its_markers_is_refused(page):
    with pytest.raises(ValueError, match="expected <!-- measurements --> and <!-- end"):
        replaced(page, "new")


def test_a_page_without_measurements_stays_as_it_is(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    for name in ("README.md", "benchmarks/README.md"):
        (tmp_path / name).write_text(f"{BEGIN} typed {END}")
    short = Part(**{**vars(PART), "short": True})
    assert write_pages({"speed": short}, tmp_path) == [tmp_path / "benchmarks/README.md"]
    assert "typed" in (tmp_path / "README.md").read_text()
    assert write_pages({"speed": short}, tmp_path) == []


def test_measurements_are_kept_in_the_order_of_the_benchmarks(tmp_path):
    save({"export": PART, "speed": PART}, tmp_path / "kept.json")
    assert list(load(tmp_path / "kept.json")) == ["speed", "export"]
    assert load(tmp_path / "kept.json")["speed"] == PART
    assert load(tmp_path / "none.json") == {}


def test_what_cannot_run_here_is_said(caplog, tmp_path):
    assert runnable(list(BENCHMARKS), tmp_path / "no/python", None) == ["start_up", "store"]
    assert "time_to_map is skipped" in caplog.text
    assert runnable(["speed", "time_to_map"], Path(sys.executable), None) == ["speed"]
    assert "time_to_map is skipped: it needs --data" in caplog.text


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_benchmark_takes_the_arguments_that_it_gets(name, short, tmp_path):
    args = argparse.Namespace(short=short, peer_python=tmp_path / "no/python", data=tmp_path)
    module, *words = command_of(name, args, tmp_path)
    taken = importlib.import_module(module).parser().parse_args(words)
    assert taken.json == tmp_path / f"{name}.json"
    assert str(tmp_path) not in shown_command(name, short=short)


def test_the_pages_show_what_is_kept(capsys, monkeypatch, tmp_path):
    (tmp_path / "benchmarks").mkdir()
    pages = ("README.md", "benchmarks/README.md")
    for name in pages:
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.setattr(sys, "argv", ["measurements", "--write-only", "--pages", str(tmp_path)])
    assert KEPT.is_file()
    assert main() == 0
    for name in pages:
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), "run make measurements"
