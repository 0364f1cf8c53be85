"""The program in docs/export.md that runs an exported file with ONNX Runtime alone."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import frcnn

PAGE = Path(__file__).resolve().parents[3] / "docs/export.md"
_PROGRAM = re.compile(r"^```python\n(import json.*?)^```$", re.MULTILINE | re.DOTALL)


def run_program(code: str, folder: Path) -> str:
    """Runs the program in a process that cannot import TensorFlow, Keras or this package."""
    blocked = "import sys; sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'frcnn')))\n"
    command = [sys.executable, "-c", f"{blocked}{code}\nprint(json.dumps(detections))"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("number", [0, 3])
def test_the_program_finds_what_the_detector_finds(models, tmp_path, number):
    (tmp_path / "model.onnx").symlink_to(models.exported)
    Image.open(models.images[number]).save(tmp_path / "street.jpg", quality=95)
    (program,) = _PROGRAM.findall(PAGE.read_text("utf-8"))
    *lines, last = run_program(program, tmp_path).splitlines()
    expected = frcnn.load(models.exported, as_is=True).predict(tmp_path / "street.jpg")
    found = json.loads(last)
    assert len(found) == len(expected) == len(lines) > 0
    assert [name for name, _, _ in found] == list(expected.label)
    np.testing.assert_allclose([score for _, score, _ in found], expected.score, atol=1e-4)
    np.testing.assert_allclose([box for _, _, box in found], expected.xyxy, atol=0.05)
