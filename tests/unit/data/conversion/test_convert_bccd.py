"""Real photographs: what the data set's README counts is what the converter must count."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from frcnn.data.conversion.convert import convert
from frcnn.settings.conversion import conversion_settings
from frcnn.spec import load_dataset_export

TOP = Path(__file__).resolve().parents[4]
BCCD = TOP.parent / "shared/data/bccd"

pytestmark = pytest.mark.skipif(not (BCCD / "images").is_dir(), reason=f"no BCCD data set in {BCCD}")

# Images, and boxes by class: the table of its README.
SPLITS = {
    "train": (205, {"rbc": 2381, "wbc": 214, "platelets": 209}),
    "val": (87, {"rbc": 967, "wbc": 87, "platelets": 83}),
    "test": (72, {"rbc": 805, "wbc": 71, "platelets": 69}),
}


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """BCCD as `examples/bccd/prepare.py` lays it out, with the working folder where the specs expect it."""
    script = TOP / "examples/bccd/prepare.py"
    command = [sys.executable, str(script), str(BCCD), str(tmp_path / "runs/bccd/data")]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATA_BASE_PATH", raising=False)
    return tmp_path / "runs/bccd/data"


@pytest.mark.parametrize("split", SPLITS)
def test_counts_of_the_example_specs_are_those_of_the_readme(prepared, tmp_path, split):
    spec = load_dataset_export(TOP / f"examples/specs/bccd_convert_{split}.txt")
    report = convert(conversion_settings(spec), tmp_path / f"records/{split}", strict=True)
    images, boxes = SPLITS[split]
    assert (report.images, report.boxes) == (images, boxes)
    assert [fold.images for fold in report.folds] == [0, images]
    assert report.class_map == {"RBC": "rbc", "WBC": "wbc", "Platelets": "platelets"}


def test_the_two_faulty_labels_are_reported_and_cost_nothing_else(prepared, tmp_path):
    for split, name in (("train", "BloodImage_00343.txt"), ("val", "BloodImage_00338.txt")):
        target = prepared / split / "labels" / name
        target.unlink()
        shutil.copyfile(BCCD / "faulty_labels" / name, target)
        spec = load_dataset_export(TOP / f"examples/specs/bccd_convert_{split}.txt")
        report = convert(conversion_settings(spec), tmp_path / f"records/{split}")
        images, boxes = SPLITS[split]
        assert (report.images, report.boxes) == (images, boxes)
        (entry,) = json.loads(report.warning_file.read_text())
        lines = target.read_text().splitlines()
        point = lines[entry["line"] - 1].split()[4:8]
        assert (point[0], point[1]) == (point[2], point[3])
        assert Path(entry["file"]).name == name
        assert entry["kind"] == "box without area"
