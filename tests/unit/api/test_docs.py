"""docs/python.md, block by block, and the notebook in examples/, on a drawn data set."""

import re
import shutil
from pathlib import Path

import pytest

from frcnn.demo.dataset import write_demo_data

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/python.md"
NOTEBOOK = ROOT / "examples/python_api.ipynb"
# They train: seconds of work, but many processes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def prepare(folder: Path) -> None:
    write_demo_data(folder / "kitti", images=10, seed=0, height=160, width=200)
    (folder / "shots").mkdir()
    for name in ("000000.jpg", "000001.jpg", "000002.jpg"):
        shutil.copy(folder / "kitti/images" / name, folder / "shots" / name)


def test_the_examples_of_the_page_run_in_order(tmp_path, monkeypatch, capsys):
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    text = PAGE.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        line = text[: match.start()].count("\n") + 1
        code = compile("\n" * line + match[1], str(PAGE), "exec")  # so that a traceback names the page's line
        exec(code, names)
    shown = capsys.readouterr().out
    assert "training_config.num_epoch no such field 'num_epoch'; did you mean 'num_epochs'?" in shown
    assert names["done"].images == 10
    assert names["result"].epochs == 2 and names["again"].epochs == 1
    assert names["same"].ok
    assert len(list(Path("out").glob("*.jpg"))) == len(list(Path("out").glob("*.txt"))) == 3
    assert Path("evaluation/report.html").is_file()
    assert '{"source": null, "size": [160, 200], "detections"' in shown


def test_the_notebook_runs(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without outputs"
    client = nbclient.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    texts = [out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", [])]
    assert any("mAP" in text for text in texts)
