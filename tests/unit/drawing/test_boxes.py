import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frcnn.drawing.boxes import Style, annotate, place_caption
from frcnn.drawing.colors import class_color, luminance, text_color

GRAY = np.full((200, 300, 3), 128, np.uint8)
BOX = np.float32([[40.4, 60.3, 150.2, 220.6]])

corners = st.tuples(st.integers(0, 299), st.integers(0, 199), st.integers(0, 299), st.integers(0, 199))
boxes = corners.map(lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3])))


def drawn(box=BOX, classes=(2,), captions=None, pixels=GRAY):
    return np.asarray(annotate(pixels, np.asarray(box), np.asarray(classes), captions))


def changed(picture):
    return (picture != 128).any(axis=-1)


def test_a_box_has_the_color_of_its_class_at_rounded_coordinates():
    picture = drawn()
    for y, x in [(40, 60), (40, 221), (150, 60), (150, 221), (95, 60), (40, 140)]:
        assert tuple(picture[y, x]) == class_color(2)
    assert tuple(picture[95, 140]) == (128, 128, 128)  # nothing inside
    rows, columns = np.nonzero(changed(picture))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (39, 151, 59, 222)


def test_the_original_stays_as_it_was():
    before = GRAY.copy()
    drawn()
    np.testing.assert_array_equal(before, GRAY)


def test_a_caption_stands_above_its_box_on_the_color_of_the_class():
    without, with_caption = drawn(), drawn(captions=["car 0.87"])
    rows, columns = np.nonzero((without != with_caption).any(axis=-1))
    assert rows.max() < 40
    assert columns.min() == 60
    area = with_caption[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].reshape(-1, 3)
    colors = [tuple(color) for color in area.tolist()]
    assert colors.count(class_color(2)) > len(colors) / 3
    assert text_color(class_color(2)) in colors


def test_a_caption_at_the_upper_right_corner_stays_whole():
    whole = drawn([[100, 100, 150, 200]], captions=["pedestrian 0.95"])
    corner = drawn([[0, 290, 30, 299]], captions=["pedestrian 0.95"])
    color = np.asarray(text_color(class_color(2)))
    letters = [(picture == color).all(axis=-1) for picture in (whole, corner)]
    # The edges round the boxes have the text's color too; the letters alone are compared.
    assert letters[1][:, 180:290].sum() > 0.8 * (letters[0].sum() - 2 * (52 + 102))


def test_boxes_that_reach_out_of_the_image_are_clipped_and_none_at_all_changes_nothing():
    picture = drawn([[-20, -30, 400, 500]])
    assert tuple(picture[0, 0]) == tuple(picture[199, 299]) == class_color(2)
    np.testing.assert_array_equal(drawn(np.zeros((0, 4)), np.zeros(0, int), []), GRAY)


def test_the_first_box_is_drawn_on_top():
    picture = drawn([[40, 60, 150, 221]] * 2, classes=(0, 1))
    assert tuple(picture[40, 140]) == class_color(0)


def test_larger_images_get_thicker_lines_and_larger_letters():
    small, large = Style.of(384, 1248), Style.of(3000, 4000)
    assert large.line >= 3 * small.line >= 6
    assert large.font.size >= 3 * small.font.size >= 33
    assert Style.of(40, 60).line == 1
    assert (Style.of(40, 60).font.size, Style.of(40, 60, 16).font.size) == (11, 16)


@given(box=boxes, others=st.lists(boxes, max_size=4))
def test_captions_stay_inside_the_image_and_clear_of_each_other_where_there_is_room(box, others):
    placed = []
    for each in [box, *others]:
        x1, y1, x2, y2 = place_caption(each, (70, 14), (300, 200), placed)
        assert 0 <= x1 < x2 <= 300
        assert 0 <= y1 < y2 <= 200
        placed.append((x1, y1, x2, y2))
    # A second caption of the same box always finds another place: the first took one of eight.
    first, second = placed[0], place_caption(box, (70, 14), (300, 200), placed[:1])
    tall = box[3] - box[1] > 60
    if tall:
        assert (
            second[2] <= first[0] or first[2] <= second[0] or second[3] <= first[1] or first[3] <= second[1]
        )


def test_colors_are_stable_distinct_and_carry_readable_text():
    colors = [class_color(index) for index in range(28)]
    assert len(set(colors)) == 28
    assert class_color(28) == class_color(0)
    for color in colors:
        light, dark = sorted((luminance(color), luminance(text_color(color))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2, level AA


def test_luminance_is_that_of_wcag():
    assert (luminance((0, 0, 0)), luminance((255, 255, 255))) == (0.0, pytest.approx(1.0))
    assert luminance((128, 128, 128)) == pytest.approx(0.2159, abs=1e-4)
