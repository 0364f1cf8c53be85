"""components/base/install_packages.py: images get what their extras require, with the hashes of locks/."""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from components.base.install_packages import locked, normalized, required

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "components/base/install_packages.py"
PROJECT = tomllib.loads((ROOT / "shared/pyproject.toml").read_text())["project"]


def wheel(folder: Path, name: str, requires: str = "", version: str = "1.0") -> Path:
    """Writes a wheel of one module, whose content is its name and version."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    meta = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"{name}.py": f"NAME = {name!r}\n",
        f"{info}/METADATA": meta + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{each},,\n" for each in (*files, f"{info}/RECORD"))
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(each, text)
    return path


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    venv.create(folder, with_pip=True)
    return folder / "bin/python"


@pytest.fixture
def build(tmp_path, python):
    """A folder as in the build stage, and a function that runs the script there."""
    wheel(tmp_path / "index", "loader", requires="codec>=1")
    wheel(tmp_path / "index", "codec")
    wheel(tmp_path / "index", "codec", version="2.0")
    wheel(tmp_path / "index", "plotter")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/pyproject.toml").write_text(
        '[project]\nname = "frcnn"\ndependencies = []\n[project.optional-dependencies]\n'
        'convert = ["loader"]\ntrain = ["frcnn[convert]"]\nevaluate = ["frcnn[train]", "plotter"]\n'
    )
    entries = []
    for each in sorted((tmp_path / "index").glob("*-1.0-*.whl")):
        digest = hashlib.sha256(each.read_bytes()).hexdigest()
        entries.append(f"{each.name.split('-')[0]}==1.0 \\\n    --hash=sha256:{digest}\n")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/cpu.txt").write_text("# Made by a test.\n" + "".join(entries))

    def run(extras: str) -> "subprocess.CompletedProcess[str]":
        options = f"--no-index --find-links {tmp_path / 'index'}"
        environment = {**os.environ, "EXTRAS": extras, "PIP_OPTIONS": options}
        return subprocess.run(
            [python, SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    yield run
    subprocess.run([python, "-m", "pip", "uninstall", "-yq", "loader", "codec", "plotter"], check=True)


def installed(python: Path) -> dict[str, str]:
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "freeze"], capture_output=True, text=True, check=True
    )
    found = dict(line.split("==") for line in listed.stdout.split())
    return {name: found[name] for name in ("loader", "codec", "plotter") if name in found}


def test_what_the_extra_requires_is_installed_in_the_versions_of_the_lock(build, python):
    done = build("train")
    assert done.returncode == 0, done.stderr
    assert installed(python) == {"loader": "1.0", "codec": "1.0"}


def test_a_file_with_another_hash_is_refused_and_nothing_is_installed(build, python, tmp_path):
    wheel(tmp_path / "index", "codec", requires="plotter")  # of the same name and version
    done = build("convert")
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr and "codec" in done.stderr
    assert installed(python) == {}


def test_a_package_that_the_lock_lacks_is_refused(build, python, tmp_path):
    lock = tmp_path / "locks/cpu.txt"
    lock.write_text(re.sub(r"codec==[^\n]*\n[^\n]*\n", "", lock.read_text()))
    done = build("convert")
    assert done.returncode != 0 and "codec: not in the lock; run make lock" in done.stderr
    assert installed(python) == {}


def test_an_unknown_extra_is_named(build):
    done = build("convert,trian")
    assert done.returncode != 0
    assert "EXTRAS: no extra 'trian'; expected some of convert, train, evaluate" in done.stderr


@pytest.mark.parametrize("step", ["convert", "train", "evaluate", "inference", "prune", "export", "publish"])
def test_the_locks_have_what_the_image_of_each_step_requires(step):
    text = (ROOT / "components" / step / "Dockerfile").read_text()
    extras = re.search(r"^ARG EXTRAS=(.*)$", text, re.MULTILINE)[1]
    for build in ("cpu", "gpu"):
        lock = locked((ROOT / f"locks/{build}.txt").read_text())
        requirements = required(PROJECT, extras.replace("cpu", build).split(","))
        names = {normalized(re.match(r"[\w.-]+", each)[0]) for each in requirements}
        assert {"protobuf", "minio"} <= names <= lock.keys()
        assert ("tensorflow" in names) == ("cpu" in extras)


def test_requirements_of_nested_extras_are_listed_once():
    found = required(PROJECT, ["evaluate", "export"])
    assert len(found) == len(set(found))
    assert {"matplotlib>=3.10", "tf2onnx>=1.17", "h5py>=3.11", "ijson>=3.3"} <= set(found)
    assert not any(each.startswith("frcnn") for each in found)


def test_no_image_installs_anything_without_a_hash():
    for path in (ROOT / "components").glob("*/Dockerfile"):
        for line in path.read_text().replace("\\\n", " ").splitlines():
            if "pip install" in line or "pip wheel" in line:
                assert "--require-hashes" in line, f"{path}: {line}"


def test_the_script_runs_by_itself_in_the_image():
    assert os.access(SCRIPT, os.X_OK)
    assert SCRIPT.read_text().startswith("#!/opt/venv/bin/python\n")
    assert sys.version_info >= (3, 11)  # tomllib
