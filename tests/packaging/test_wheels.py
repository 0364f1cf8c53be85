"""Wheels of the two distributions: their contents, and the installed commands without the checkout."""

import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import onnx
import pytest
import yaml

import frcnn
from components.images import DEFAULT_TAG

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of both distributions, by name."""
    folder = tmp_path_factory.mktemp("wheels")
    subprocess.run([ROOT / "scripts/build_wheels.sh", sys.executable, folder], check=True)
    return {path.name.split("-")[0]: path for path in folder.glob("*.whl")}


@pytest.fixture(scope="module")
def installed(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a new environment with the wheels; other packages are those of this one."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    subprocess.run([*command, *map(str, wheels.values())], check=True)
    site = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    # The folder comes last on the path and its .pth files are not read, so the checkout stays unseen.
    (Path(site.stdout.strip()) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def _run(command: list[str | Path], folder: Path) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_wheels_hold_schemas_templates_the_compiled_pipeline_and_the_license(wheels: dict[str, Path]) -> None:
    names = {key: set(zipfile.ZipFile(path).namelist()) for key, path in wheels.items()}
    assert {
        "frcnn/py.typed",
        "frcnn/spec/experiment.proto",
        "frcnn/evaluation/templates/report.html.jinja",
        "frcnn/spec_writing/experiment_template.txt",
    } <= names["frcnn"]
    assert "pipelines/compiled/faster_rcnn.yaml" in names["frcnn_pipelines"]
    assert "components/train/main.py" in names["frcnn_pipelines"]
    for each in names.values():
        assert any(name.endswith("licenses/LICENSE") for name in each)


@pytest.mark.slow
def test_installed_commands_do_what_those_of_the_checkout_do(installed: Path, tmp_path: Path) -> None:
    where = _run(
        [installed / "python", "-c", "import frcnn, pipelines; print(frcnn.__file__, pipelines.__file__)"],
        tmp_path,
    )
    assert str(ROOT) not in where
    assert _run([installed / "frcnn", "--version"], tmp_path).strip() == f"frcnn {frcnn.__version__}"
    assert "dataset_convert" in _run([installed / "tao", "model", "faster_rcnn", "--help"], tmp_path)
    _run([installed / "frcnn", "demo-data", "-o", "data"], tmp_path)
    assert list((tmp_path / "data").rglob("*.txt"))
    _run([installed / "frcnn", "pipeline", "compile", "-o", "compiled"], tmp_path)
    compiled = next((tmp_path / "compiled").glob("faster_rcnn.yaml"))
    assert compiled.read_text() == (ROOT / "pipelines" / "compiled" / "faster_rcnn.yaml").read_text()


@pytest.mark.slow
def test_the_installed_demo_runs_the_whole_pipeline_outside_of_the_checkout(
    installed: Path, tmp_path: Path
) -> None:
    size = ("--images", "12", "--height", "128", "--width", "128")
    _run([installed / "frcnn", "demo-data", "-o", "data", *size], tmp_path)
    said = _run([installed / "frcnn", "demo", "--data", "data", "-o", "mine", "--epochs", "1"], tmp_path)
    exported = tmp_path / "mine/run/latest/export/exported/model.onnx"
    assert onnx.load(exported).producer_name == "frcnn"
    assert "spec:    mine/specs/experiment.txt" in said
    assert len(list((tmp_path / "mine/annotated").glob("*.jpg"))) == 2


def test_chart_images_and_distributions_have_one_version() -> None:
    chart = yaml.safe_load((ROOT / "charts/frcnn-pipelines/Chart.yaml").read_text())
    script = (ROOT / "scripts/build_images.sh").read_text()
    assert chart["appVersion"] == DEFAULT_TAG == frcnn.__version__
    assert re.search(r"TAG:-([\d.]+)", script)[1] == frcnn.__version__
