"""What the benchmark of the cold start measures, and says of it."""

import io

import pytest
from rich.console import Console

from benchmarks.start_up import Start, make_table, measure, medians


def test_medians_are_taken_by_column():
    starts = [
        Start((0.1, 0.2, 0.3, 0.4), 2.0, 100.0),
        Start((0.3, 0.2, 0.1, 0.4), 4.0, 300.0),
        Start((0.2, 0.2, 0.2, 1.4), 3.0, 200.0),
    ]
    assert medians(starts) == pytest.approx([0.2, 0.2, 0.2, 0.4, 1.0, 3.0, 200.0])


def test_the_table_has_one_line_per_runtime():
    console = Console(file=io.StringIO(), width=150)
    console.print(make_table({"openvino": [Start((0.02, 0.1, 0.4, 0.9), 1.25, 512.4)]}))
    line = next(line for line in console.file.getvalue().splitlines() if "openvino" in line)
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == ["openvino", "0.02", "0.10", "0.40", "0.90", "1.42", "1.25", "512"]


def test_a_program_that_fails_is_reported_with_its_error(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)^onnxruntime: .*gone\.onnx: no such model file"):
        measure(tmp_path / "gone.onnx", tmp_path / "scene.jpg", "onnxruntime")
