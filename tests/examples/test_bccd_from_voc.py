"""`examples/bccd/prepare.py` on the layout of BCCD's public repository, drawn here."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[2] / "examples/bccd/prepare.py"
ANNOTATION = """\
<annotation><filename>{stem}.jpg</filename>
<object><name>White cell</name><truncated>1</truncated><difficult>0</difficult>
<bndbox><xmin>1</xmin><ymin>11</ymin><xmax>60</xmax><ymax>48</ymax></bndbox></object>
<object><name>RBC</name><difficult>1</difficult>
<bndbox><xmin>21.5</xmin><ymin>2</ymin><xmax>30</xmax><ymax>9</ymax></bndbox></object>
</annotation>
"""


@pytest.fixture
def public(tmp_path):
    folder = tmp_path / "source/BCCD"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for number, split in enumerate(("train", "val", "test")):
        stem = f"BloodImage_{number:05}"
        Image.new("RGB", (60, 48)).save(folder / "JPEGImages" / f"{stem}.jpg")
        (folder / "Annotations" / f"{stem}.xml").write_text(ANNOTATION.format(stem=stem))
        (folder / "ImageSets/Main" / f"{split}.txt").write_text(f"{stem}\n")
    return folder


def prepare(*words):
    return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True)


def test_boxes_are_counted_from_0_and_the_split_is_kept(public, tmp_path):
    done = prepare(public, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    for number, split in enumerate(("train", "val", "test")):
        (label,) = (tmp_path / "data" / split / "labels").iterdir()
        assert label.name == f"BloodImage_{number:05}.txt"
        assert label.read_text().splitlines() == [
            "White_cell 1.00 0 0.00 0.00 10.00 59.00 47.00" + " 0.00" * 7,
            "RBC 0.00 1 0.00 20.50 1.00 29.00 8.00" + " 0.00" * 7,
        ]
        with Image.open(tmp_path / "data" / split / "images" / f"{label.stem}.jpg") as image:
            assert image.size == (60, 48)


def test_without_an_annotation_nothing_is_written(public, tmp_path):
    (public / "Annotations/BloodImage_00001.xml").unlink()
    done = prepare(public, tmp_path / "data")
    assert done.returncode == 1
    assert "BloodImage_00001.xml: no such file (1 missing in all)" in done.stderr
    assert not (tmp_path / "data").exists()
