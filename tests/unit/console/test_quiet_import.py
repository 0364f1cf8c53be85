from pathlib import Path

import pytest

# Stands in for the real one, which takes seconds: writes below Python, as C++ does.
FAKE_TENSORFLOW = """
import os
import types
chosen = []
test = types.SimpleNamespace(is_built_with_cuda=lambda: True)
config = types.SimpleNamespace(optimizer=types.SimpleNamespace(set_experimental_options=chosen.append))
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
os.write(2, b"I0000 00:00:1 port.cc:153] oneDNN custom operations are on.\\n")
os.write(2, b"E0000 00:00:1 loader.cc:1] no kernel image\\n")
{more}
"""

IMPORTER = """
import sys
from frcnn.console.quiet_import import quiet_tensorflow_import
with quiet_tensorflow_import():
    import json  # others are none of its business
    import tensorflow
sys.stderr.write(f"after {tensorflow.__spec__.name} {len(sys.meta_path)}\\n")
"""


@pytest.fixture
def importing(python, tmp_path):
    """Imports a TensorFlow whose last statement is `more`; gives back what was written to standard error."""

    def run(more=""):
        (tmp_path / "tensorflow.py").write_text(FAKE_TENSORFLOW.format(more=more))
        (tmp_path / "importer.py").write_text(IMPORTER)
        return python(tmp_path / "importer.py")

    return run


def test_informational_lines_are_dropped_and_others_kept(importing):
    lines = importing().stderr.splitlines()
    assert lines[0] == "E0000 00:00:1 loader.cc:1] no kernel image"
    assert lines[1].startswith("after tensorflow")
    assert len(lines) == 2


def test_an_import_that_fails_fails_as_ever(importing):
    done = importing("raise ImportError('libcuda')")
    assert done.returncode == 1
    assert "ImportError: libcuda" in done.stderr
    assert "no kernel image" in done.stderr


def test_no_trace_is_left_behind(python, tmp_path):
    done = python(
        "-c",
        "import sys\n"
        "from frcnn.console.quiet_import import quiet_tensorflow_import\n"
        "before = list(sys.meta_path)\n"
        "with quiet_tensorflow_import(): pass\n"
        "assert sys.meta_path == before",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("level", ["0", "1", "2"])
def test_a_level_of_one_or_less_lets_all_lines_pass(python, tmp_path, environment, level):
    (tmp_path / "tensorflow.py").write_text(FAKE_TENSORFLOW.format(more=""))
    (tmp_path / "importer.py").write_text(IMPORTER)
    environment["TF_CPP_MIN_LOG_LEVEL"] = level
    lines = python(tmp_path / "importer.py").stderr.splitlines()
    assert [line.startswith("I0000") for line in lines].count(True) == (level != "2")


def test_a_look_for_missing_packages_before_the_import_does_not_let_it_speak(python, tmp_path):
    """`frcnn demo` and `frcnn pipeline run` check their packages first."""
    (tmp_path / "tensorflow.py").write_text(FAKE_TENSORFLOW.format(more=""))
    done = python(
        "-c",
        "import importlib.util, os\n"
        "from frcnn.console.quiet_import import quiet_tensorflow_import\n"
        "with quiet_tensorflow_import(), quiet_tensorflow_import():\n"
        "    assert importlib.util.find_spec('tensorflow') is not None\n"
        "    assert 'TF_CPP_MIN_LOG_LEVEL' not in os.environ\n"
        "    import tensorflow\n"
        "print(os.environ['TF_CPP_MIN_LOG_LEVEL'])",
    )
    assert (done.stdout, done.stderr) == ("2\n", "E0000 00:00:1 loader.cc:1] no kernel image\n")


def test_a_closed_standard_error_does_not_stop_the_import(python, tmp_path):
    silent = FAKE_TENSORFLOW.replace("os.write", "(lambda *_: None)")
    (tmp_path / "tensorflow.py").write_text(silent.format(more="print('imported')"))
    done = python(
        "-c",
        "import os\n"
        "from frcnn.console.quiet_import import quiet_tensorflow_import\n"
        "os.close(2)\n"
        "with quiet_tensorflow_import(): import tensorflow",
    )
    assert (done.returncode, done.stdout) == (0, "imported\n")


@pytest.mark.parametrize(("switch", "driver"), [("0", False), ("1", False), ("1", True)])
def test_what_is_slow_with_onednn_on_this_cpu_is_switched_off(python, tmp_path, environment, switch, driver):
    (tmp_path / "tensorflow.py").write_text(FAKE_TENSORFLOW.format(more=""))
    file = tmp_path / "version"
    if driver:
        file.touch()
    environment.update(TF_ENABLE_ONEDNN_OPTS=switch, ONEDNN_MAX_CPU_ISA="AVX2")
    done = python(
        "-c",
        "from pathlib import Path\n"
        "from frcnn.console import quiet_import\n"
        f"quiet_import.DRIVER_FILE = Path({str(file)!r})\n"
        "with quiet_import.quiet_tensorflow_import(): import tensorflow\n"
        "print(tensorflow.chosen)",
    )
    slow = switch == "1" and not driver and " avx2 " in Path("/proc/cpuinfo").read_text()
    assert done.stdout == ("[{'remapping': False}]\n" if slow else "[]\n")
