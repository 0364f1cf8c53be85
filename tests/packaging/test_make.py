"""`make demo` before anything is installed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make demo` reads before it installs: an installation would fail here."""
    for name in ("Makefile", "scripts/look_at_data.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("shared", "pipelines"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pyproject.toml").touch()
    return tmp_path


def make(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["make", f"PYTHON={sys.executable}", *words]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (lambda folder: None, "no such folder"),
        (lambda folder: folder.mkdir(), "no image in it or below it"),
        (lambda folder: folder.write_text("a file"), "no such folder"),
    ],
)
def test_data_that_cannot_be_used_is_refused_before_the_installation(checkout, create, message):
    create(checkout / "mine")
    done = make(checkout, "demo", f"DATA={checkout}/mine")
    assert done.returncode == 2
    assert f"DATA={checkout}/mine: {message}" in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("image", ["images/1.JPG", "train/images/1.png", "annotations/train.json"])
def test_data_with_images_is_taken_and_the_demo_is_installed_without_what_tests_need(checkout, image):
    (checkout / "mine" / image).parent.mkdir(parents=True)
    (checkout / "mine" / image).touch()
    (checkout / "mine" / "images").mkdir(exist_ok=True)
    (checkout / "mine" / "images" / "loop").symlink_to(checkout / "mine")
    done = make(checkout, "-n", "demo", f"DATA={checkout}/mine")
    assert done.returncode == 0
    assert "locks/cpu-run.txt" in done.stdout
    assert "locks/cpu.txt" not in done.stdout
    check = [sys.executable, "scripts/look_at_data.py", str(checkout / "mine")]
    assert subprocess.run(check, cwd=checkout, check=False).returncode == 0


def test_a_full_setup_serves_the_demo_too(checkout):
    (checkout / ".venv").mkdir()
    for name in (".setup-demo-done", ".setup-done"):
        (checkout / ".venv" / name).touch()
    assert "pip install" not in make(checkout, "-n", "demo").stdout
    assert "pip install" not in make(checkout, "-n", "lint").stdout
