import numpy as np
from PIL import Image

from frcnn.drawing.colors import class_color
from frcnn.drawing.contact_sheet import GAP, LINE, contact_sheet

RED, BLUE = (200, 0, 0), (0, 0, 200)


def test_pictures_lie_in_rows_and_columns():
    rows = [[Image.new("RGB", (40, 20), RED), Image.new("RGB", (40, 30), BLUE)]] * 2
    sheet = np.asarray(contact_sheet(rows, ["a", "b"], ["car"]))
    tops = [LINE + GAP, LINE + GAP + 30 + GAP]
    for top in tops:
        assert (sheet[top : top + 20, GAP : GAP + 40] == RED).all()
        assert (sheet[top : top + 30, 2 * GAP + 40 : 2 * GAP + 80] == BLUE).all()
    assert sheet.shape[1] == 3 * GAP + 80


def test_large_pictures_are_scaled_down_and_small_ones_left():
    rows = [[Image.new("RGB", (400, 200), RED), Image.new("RGB", (40, 20), BLUE)]]
    sheet = np.asarray(contact_sheet(rows, ["a", "b"], [], tile_width=100))
    assert (sheet == RED).all(axis=-1).sum() == 100 * 50
    assert (sheet == BLUE).all(axis=-1).sum() == 40 * 20


def test_legend_shows_the_color_of_each_class():
    sheet = np.asarray(contact_sheet([[Image.new("RGB", (300, 20), RED)]], ["a"], ["car", "person"]))
    for index in range(2):
        assert (sheet == class_color(index)).all(axis=-1).sum() > 80
