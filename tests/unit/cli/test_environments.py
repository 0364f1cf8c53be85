"""The program in surroundings that it did not choose: other Keras settings, closed and full streams."""

import json
import os
import subprocess
import sys

import pytest

ASK = """
from frcnn.console.keras_settings import settle_keras
settle_keras()
import keras
from keras.config import epsilon, floatx, image_data_format
print(keras.backend.backend(), floatx(), image_data_format(), epsilon())
"""


@pytest.mark.parametrize(
    ("settings", "backend"),
    [
        ({"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1}, None),
        ({"floatx": "nonsense"}, None),
        ({"backend": "jax"}, None),
        ({}, "jax"),
    ],
)
def test_keras_is_as_this_program_needs_it_and_leaves_nothing(tmp_path, settings, backend):
    home = tmp_path / "home"
    (home / ".keras").mkdir(parents=True)
    (home / ".keras" / "keras.json").write_text(json.dumps(settings))
    environment = {**os.environ, "HOME": str(home)} | ({"KERAS_BACKEND": backend} if backend else {})
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "tensorflow float32 channels_last 1e-07\n", done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def shell(line, tmp_path):
    """Runs `frcnn spec ...` with redirections; returns exit code and standard error."""
    (tmp_path / "spec.txt").write_text("x: 1\n")
    command = ["sh", "-c", f"{sys.executable} -m frcnn {line}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", ">&- 2>/dev/full"])
def test_streams_that_nobody_reads_change_no_exit_code(tmp_path, closed):
    good = f"demo-data -o data --images 2 --height 64 --width 64 {closed}"
    code, said = shell(good, tmp_path)
    assert (code, "Traceback" in said) == (0, False)
    assert len(list((tmp_path / "data" / "images").iterdir())) == 2
    assert shell(f"spec check spec.txt {closed}", tmp_path)[0] == 2


def test_output_that_cannot_be_written_is_said_and_the_work_is_done(tmp_path):
    code, said = shell("demo-data -o data --images 2 --height 64 --width 64 >/dev/full", tmp_path)
    assert len(list((tmp_path / "data" / "images").iterdir())) == 2
    assert code == 1
    assert "error: cannot write to standard output (No space left on device)" in said
    assert "Traceback" not in said
