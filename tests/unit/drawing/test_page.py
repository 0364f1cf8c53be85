"""Parts of the frame of HTML pages."""

import pytest

from frcnn.drawing.charts import PLANE_HEIGHT, PLANE_WIDTH, count_ticks, polyline
from frcnn.drawing.page import change, number


@pytest.mark.parametrize(
    ("highest", "labels"),
    [
        (1, ["0", "0.5", "1"]),
        (4, ["0", "1", "2", "3", "4"]),
        (8, ["0", "2", "4", "6", "8"]),
        (9, ["0", "5"]),
        (73, ["0", "20", "40", "60"]),
        (100, ["0", "50", "100"]),
        (123456, ["0", "50000", "100000"]),
        (0.07, ["0", "0.02", "0.04", "0.06"]),
    ],
)
def test_ticks_are_round_numbers_up_to_the_highest_value(highest, labels):
    ticks = count_ticks(highest)
    assert [label for label, _ in ticks] == labels
    assert [share for _, share in ticks] == pytest.approx([float(label) / highest for label in labels])


def test_a_line_grows_upwards_in_units_of_the_plane():
    assert polyline([(0.0, 0.0), (1.0, 1.0)]) == f"M0.0,{PLANE_HEIGHT:.1f} L{PLANE_WIDTH:.1f},0.0"
    assert polyline([]) == ""


def test_unknown_numbers_are_a_dash_and_have_no_change():
    assert (number(None), number(0.12345), number(2, 1)) == (
        "\N{EN DASH}",
        "0.123",
        "2.0",
    )
    assert (change(0.5, 0.6), change(0.5, 0.4)) == ("\N{MINUS SIGN}0.100", "+0.100")
    assert change(None, 0.5) == change(0.5, None) == ""
