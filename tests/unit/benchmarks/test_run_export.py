import io
from pathlib import Path

from rich.console import Console

from benchmarks.run_export import ROWS, Times, commands, parser, print_table
from frcnn.inference.runtime_choice import RuntimeChoice

REPORT = {"peak_mib": 100.0, "start_up": 1.0, "start_up_mib": 90.0}


def test_the_ratio_is_taken_round_by_round_from_the_peer_of_the_row():
    row = next(row for row in ROWS if row.precision_hint == "bf16")
    times = {
        # A machine that became half as fast in the second round, for both.
        "bfloat16": Times(wall=[1.3, 2.6, 1.3], cpu=[2.0, 2.0, 2.0]),
        row.name: Times(wall=[1.0, 2.0, 1.0], cpu=[1.0, 1.0, 1.0], report=REPORT),
    }
    console = Console(file=io.StringIO(), width=200)
    print_table([row], times, console)
    line = next(line for line in console.file.getvalue().splitlines() if row.name in line)
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells[1:7] == ["1.000", "1.300 bfloat16", "1.30", "1.30-1.30", "2.00", ">= 1.25 yes"]


def test_each_row_is_a_worker_and_each_precision_of_the_peer_one():
    args = parser().parse_args(["--threads", "2", "--peer-python", "peer"])
    started = commands(args, list(ROWS), {row.form: Path(f"{row.form}.onnx") for row in ROWS})
    assert set(started) == {"float32", "bfloat16", *(row.name for row in ROWS)}
    assert started["float32"][0] == "peer"
    assert started["int8, openvino"][-4:] == ["--runtime", "openvino", "--precision-hint", ""]
    for row in ROWS:
        assert RuntimeChoice(row.runtime, row.precision_hint).name == row.runtime
