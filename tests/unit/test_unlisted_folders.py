"""A folder that cannot be listed ends the command: `os.walk` would leave out its files without a word."""

import os
import shutil
import subprocess
import sys

import pytest

from frcnn.regular_file import walk
from tests.support.unmeasured import unmeasured

# As the owner of the folder, without root's right to read everything.
RIGHTS = "-dac_override,-dac_read_search"
ORDINARY = ["setpriv", "--bounding-set", RIGHTS, "--inh-caps", RIGHTS] if os.geteuid() == 0 else []

COMMAND = "from frcnn.cli.main import main; import sys; sys.exit(main(sys.argv[1:]))"
IMAGES = "from pathlib import Path; from frcnn.data.image_files import find_images; find_images(Path('data'))"
TASKS = {
    "push": [COMMAND, "store", "push", "data", "artifact"],
    "pull": [COMMAND, "store", "pull", "data", "copy"],
    "images": [IMAGES],
}


@pytest.mark.skipif(bool(ORDINARY) and not shutil.which("setpriv"), reason="needs setpriv, to give up rights")
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_a_folder_that_cannot_be_listed_is_named_instead_of_left_out(tmp_path, task):
    (tmp_path / "data/more").mkdir(parents=True)
    for name in ("a.png", "more/b.png"):
        (tmp_path / "data" / name).write_text("image")
    (tmp_path / "data/more").chmod(0)
    environment = unmeasured() | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    done = subprocess.run(
        [*ORDINARY, sys.executable, "-c", *task],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (tmp_path / "data/more").chmod(0o700)
    assert done.returncode == 1
    advice = "Make it readable, or move it elsewhere, and run again."
    assert f"data/more: cannot list this folder (Permission denied). {advice}" in done.stderr
    assert not [path for name in ("artifact", "copy") for path in (tmp_path / name).rglob("*.png")]


def test_folders_that_are_removed_while_they_are_listed_are_left_out(tmp_path):
    (tmp_path / "a").mkdir()
    listed = walk(tmp_path)
    assert next(listed) == (str(tmp_path), ["a"], [])
    (tmp_path / "a").rmdir()
    assert list(listed) == []
    assert list(walk(tmp_path / "missing")) == []
