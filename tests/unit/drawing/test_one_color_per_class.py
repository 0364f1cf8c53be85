"""The rule of class colors: by sorted name, in the data report and in all that knows the model's classes."""

import re

import numpy as np
import pytest
from PIL import Image

import frcnn
from frcnn.drawing.colors import class_color, class_indices
from frcnn.drawing.contact_sheet import contact_sheet
from frcnn.drawing.thumbnail import cut
from frcnn.spec import load_experiment
from tests.support.kitti_folder import write_kitti

ORANGE, SKY_BLUE, GREEN = (230, 159, 0), (86, 180, 233), (0, 158, 115)
GOLDEN = {"platelets": ORANGE, "rbc": SKY_BLUE, "wbc": GREEN}
SIDES = {"platelets": 20, "rbc": 50, "wbc": 35}  # px


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Blood cells whose order by number is another than that by name."""
    names = ("RBC", "RBC", "RBC", "WBC", "WBC", "Platelets")
    ends = [10 + SIDES[name.lower()] for name in names]
    lines = [f"{name} 0 0 0 10 10 {end} {end} 0 0 0 0 0 0 0" for name, end in zip(names, ends, strict=True)]
    return write_kitti(tmp_path_factory.mktemp("cells"), {f"{number:03}": lines for number in range(6)})


def test_colors_follow_the_sorted_names():
    assert {
        name: class_color(at) for name, at in class_indices(["wbc", "rbc", "platelets"]).items()
    } == GOLDEN


def test_data_report(cells, tmp_path):
    page = frcnn.data_report(cells, tmp_path / "report", compare=0).page.read_text()
    chips = re.findall(r'background:rgb\((\d+),(\d+),(\d+)\)"></span>(\w+)', page)
    assert {name: tuple(map(int, color)) for *color, name in chips} == GOLDEN
    assert {name for *_, name in chips[:1]} == {"rbc"}, "rows are still sorted by number"


def test_frames_of_the_samples_in_the_data_report(cells, tmp_path, monkeypatch):
    used = {}

    def recorded(pixels, box, class_index, kind):
        used[int(box[2] - box[0])] = class_color(class_index)
        return cut(pixels, box, class_index, kind)

    monkeypatch.setattr("frcnn.survey.samples.cut", recorded)
    frcnn.data_report(cells, tmp_path / "report", compare=0)
    assert used == {SIDES[name]: color for name, color in GOLDEN.items()}


def test_model_of_the_written_spec_and_the_legend_of_its_preview(cells, tmp_path):
    frcnn.new_spec(cells, tmp_path / "specs")
    names = load_experiment(tmp_path / "specs/experiment.txt").class_names
    assert {name: class_color(at) for at, name in enumerate(names)} == GOLDEN
    sheet = np.asarray(contact_sheet([[Image.new("RGB", (600, 20))]], ["a"], names))
    swatches = [(np.nonzero((sheet == GOLDEN[name]).all(axis=-1))[1]).min() for name in names]
    assert swatches == sorted(swatches)
