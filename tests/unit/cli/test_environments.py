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
    """What `frcnn spec ...` with these redirections ends with, and says on standard error."""
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


PLOT = """
import hashlib
from pathlib import Path
from frcnn.evaluation.plots import save_curves
from tests.unit.evaluation.test_plots import report_of
print(hashlib.sha256(save_curves(report_of(0.5), Path("out"))[0].read_bytes()).hexdigest())
"""
UGLY = "text.usetex: True\nfont.size: 60\nsavefig.bbox: tight\nsavefig.format: pdf\nfigure.figsize: 2, 2\n"


def plotted(folder, **variables):
    folder.mkdir(exist_ok=True)
    path = os.pathsep.join(each for each in sys.path if each)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("M")}
    environment |= {"PYTHONPATH": path, "MPLCONFIGDIR": str(folder), **variables}
    done = subprocess.run(
        [sys.executable, "-c", PLOT], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout, done.stderr


def test_plots_look_the_same_whatever_the_user_has_set_for_matplotlib(tmp_path):
    expected, said = plotted(tmp_path / "plain")
    assert len(expected) == 65, said
    settings = tmp_path / "settings/matplotlibrc"
    settings.parent.mkdir()
    settings.write_text(UGLY)
    assert plotted(settings.parent)[0] == expected, "in the working folder"
    assert plotted(tmp_path / "a", MPLCONFIGDIR=str(settings.parent))[0] == expected, "in the user's folder"
    assert plotted(tmp_path / "b", MATPLOTLIBRC=str(settings))[0] == expected, "named by the environment"


def test_settings_of_matplotlib_that_are_no_text_end_in_a_sentence_or_do_not_matter(tmp_path):
    expected, _ = plotted(tmp_path / "plain")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/matplotlibrc").write_bytes(b"\xff\xfe\0")
    assert plotted(tmp_path / "other", MPLCONFIGDIR=str(tmp_path / "home"))[0] == expected
    printed, said = plotted(tmp_path / "home")
    assert printed == ""
    assert f"RunError: {tmp_path}/home/matplotlibrc: not text" in said
