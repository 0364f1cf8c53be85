"""The program in surroundings that it did not choose: other Keras settings, closed and full streams."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.support.unmeasured import unmeasured

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


def shell(line, tmp_path, before=""):
    """Runs `frcnn spec ...` with redirections after `before`; returns exit code and standard error."""
    (tmp_path / "spec.txt").write_text("x: 1\n")
    command = ["sh", "-c", f"{before}{sys.executable} -m frcnn {line}"]
    done = subprocess.run(
        command, cwd=tmp_path, env=unmeasured(), capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", ">&- 2>/dev/full"])
def test_streams_that_nobody_reads_change_no_exit_code(tmp_path, closed):
    good = f"demo-data -o data --images 2 --height 64 --width 64 {closed}"
    code, said = shell(good, tmp_path)
    assert (code, "Traceback" in said) == (0, False)
    assert len(list((tmp_path / "data" / "images").iterdir())) == 2
    assert shell(f"spec check spec.txt {closed}", tmp_path)[0] == 2


@pytest.mark.parametrize("buffer", ["PYTHONUNBUFFERED=", "PYTHONUNBUFFERED=1"])
@pytest.mark.parametrize("line", ["version", "--help", "spec show --help", "demo-data -o data --images 1"])
def test_a_reader_that_has_ended_is_no_bug_of_this_program(tmp_path, line, buffer):
    # The reader, such as `head`, ends before anything is written.
    code, said = shell(f"{line}; echo $? >code; }} | :", tmp_path, before=f"export {buffer}; {{ ")
    assert code == 0
    assert (tmp_path / "code").read_text().strip() in ("0", "1")
    assert "Traceback" not in said and "BrokenPipeError" not in said


@pytest.mark.parametrize(
    "line", ["trian", "train --unknown", "spec check spec.txt", "train -e spec.txt -r r", "help trian"]
)
def test_messages_that_nobody_reads_change_no_exit_code(tmp_path, line):
    # A pipe without a reader, as after `| true`.
    code, _ = shell(f"{line} >&4 2>&4", tmp_path, before="mkfifo pipe; exec 3<>pipe 4>pipe 3<&-; ")
    assert code == 2


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


def test_an_image_that_does_not_fit_is_an_error_and_never_half_of_it(tmp_path):
    # 1 block is 512 or 1024 bytes; a full disk cuts a write off in the same way.
    code, said = shell(
        "demo-data -o data --images 1 --height 256 --width 256", tmp_path, before="ulimit -f 1; "
    )
    assert code == 1
    assert "disk full while writing" in said and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["spec.txt"]


def test_a_log_file_that_cannot_be_written_is_said_once_and_the_work_is_done(tmp_path):
    code, said = shell("demo-data -o data --images 2 --height 64 --width 64 --log_file /dev/full", tmp_path)
    assert len(list((tmp_path / "data" / "images").iterdir())) == 2
    assert code == 0
    assert said.count("cannot write the log file /dev/full (No space left on device)") == 1
    assert "Traceback" not in said


def test_a_log_file_that_is_a_pipe_without_a_reader_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    code, said = shell("demo-data -o data --images 1 --log_file pipe", tmp_path)
    assert (code, "cannot write the log file pipe: a named pipe without a reader" in said) == (2, True)


def test_images_of_any_size_are_refused_before_the_memory_is_taken(tmp_path):
    code, said = shell("demo-data -o data --images 1 --height 1000000 --width 1000000", tmp_path)
    assert (code, "size 1000000 x 1000000: expected at most 64 million pixels" in said) == (2, True)


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to become a user without an entry"
)
def test_without_home_and_entry_in_passwd_nothing_is_left_in_the_working_folder(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    # It may read everything, since the interpreter may lie in root's home, as in a container.
    rights = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    command = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups", *rights, sys.executable]
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    environment["PYTHONPATH"] = os.pathsep.join(each for each in sys.path if each)
    done = subprocess.run(
        [*command, "-c", ASK], env=environment, cwd=work, capture_output=True, text=True, check=False
    )
    assert done.stdout == "tensorflow float32 channels_last 1e-07\n", done.stderr
    assert list(work.iterdir()) == []


OUTPUT = """
import sys
from frcnn.api.locations import local_output
from frcnn.errors import UsageError
for each in sys.argv[1:]:
    try:
        print(local_output(each, "output_dir"))
    except UsageError as error:
        print(error)
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to become a user without rights"
)
def test_a_folder_that_the_user_may_not_write_to_is_said_before_the_work(tmp_path):
    for name, mode in (("mine", 0o777), ("others", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    places = ["mine/new/a.onnx", "others/new/a.onnx", "others"]
    rights = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    command = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups", *rights, sys.executable]
    environment = unmeasured() | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    done = subprocess.run(
        [*command, "-c", OUTPUT, *places],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    advice = "Choose another folder, or change its rights"
    folder = tmp_path / "others"
    assert done.stdout.splitlines() == [
        places[0],
        f"output_dir {places[1]}: you may not write to {folder}. {advice}",
        f"output_dir {places[2]}: you may not write to others. {advice}",
    ], done.stderr


def test_a_working_folder_that_is_gone_is_said(tmp_path):
    gone = 'mkdir gone && cd gone && rmdir "$PWD" && '
    code, said = shell("demo-data -o data --images 1", tmp_path, before=gone)
    assert (code, "Traceback" in said) == (1, False)
    assert "the working folder no longer exists; change to another one and run again" in said
    absolute = f"demo-data -o {tmp_path}/data --images 1 --height 64 --width 64"
    assert shell(absolute, tmp_path, before=gone)[0] == 0


def test_no_folder_for_temporary_files_is_said(tmp_path):
    make = "demo-data -o data --images 5 --height 64 --width 64"
    assert shell(make, tmp_path)[0] == 0
    # No file can have a byte, as on full disks or those that are read-only.
    code, said = shell("data report data -o report", tmp_path, before="ulimit -f 0; ")
    assert (code, "Traceback" in said) == (1, False)
    assert "No usable temporary directory found in" in said
    assert "free some space there, or set TMPDIR to a folder that can be written to" in said


@pytest.mark.parametrize("make", [lambda path: path.touch(), lambda path: path.symlink_to("nowhere")])
def test_a_file_in_the_place_of_a_folder_is_said(tmp_path, make):
    make(tmp_path / "r")
    code, said = shell("demo-data -o data --images 2 --height 64 --width 64", tmp_path)
    assert code == 0
    code, said = shell("spec new --data data -o r/specs", tmp_path)
    assert (code in (1, 2), "Traceback" in said) == (True, False)
    assert "File exists" not in said and "r" in said
