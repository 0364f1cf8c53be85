"""Class names and anchors that cannot be meant."""

import logging

import numpy as np
import pytest

from frcnn.errors import SpecError
from frcnn.ops.anchor_shapes import anchor_grid
from frcnn.spec.load import parse_experiment
from frcnn.spec.rules.warnings import _widest_anchor
from tests.unit.spec.samples import GUIDE, MINIMAL, changed, problems_of

VAN = "key: 'van'\nvalue: 'car'"


@pytest.mark.parametrize(
    "name", [r"a\nb", r"\033[2Jred", r"a\rb", r"a\000b", r"a\302\205b", r"a\342\200\250b"]
)
@pytest.mark.parametrize("place", ["key: 'van'\nvalue: '{}'", "key: '{}'\nvalue: 'car'"])
def test_control_characters_in_class_names_are_refused_and_shown_escaped(name, place):
    (problem,) = problems_of(changed(GUIDE, (VAN, place.format(name))))
    assert "control characters are not allowed" in problem.message
    assert problem.message.isprintable()


@pytest.mark.parametrize("key", ["Car", " car", "C a R", "CAR"])
def test_keys_that_are_one_class_of_the_records_must_have_one_meaning(key, caplog):
    (problem,) = problems_of(changed(GUIDE, (VAN, f"key: '{key}'\nvalue: 'other'")))
    assert 'both keys are read as "car"' in problem.message
    with caplog.at_level(logging.WARNING):
        parse_experiment(changed(GUIDE, (VAN, f"key: '{key}'\nvalue: 'car'")), "spec.txt")
    assert 'so it is read as "car"' in caplog.text


def test_a_key_with_a_space_is_read_as_the_records_have_it(caplog):
    with caplog.at_level(logging.WARNING):
        parse_experiment(changed(GUIDE, ("key: 'van'", "key: 'traffic light'")), "spec.txt")
    assert 'so it is read as "trafficlight"' in caplog.text


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("key: 'back ground'\nvalue: 'car'", 'this name is reserved for "no object"'),
        ("key: 'BACKGROUND'\nvalue: 'car'", 'this name is reserved for "no object"'),
        ("key: 'van'\nvalue: ' background '", 'reserved for "no object"'),
        ("key: ' '\nvalue: 'car'", "empty; expected a class name from the records"),
        ("key: 'van'\nvalue: ' '", "empty; expected the name of a class"),
    ],
)
def test_names_are_judged_as_they_are_read(entry, message):
    (problem,) = problems_of(changed(GUIDE, (VAN, entry)))
    assert message in problem.message


@pytest.mark.parametrize("value", ["Car", "car ", "c ar"])
def test_classes_that_differ_only_in_case_or_spaces_are_remarked(value, caplog):
    with caplog.at_level(logging.WARNING):
        spec = parse_experiment(changed(GUIDE, (VAN, f"key: 'van'\nvalue: '{value}'")), "spec.txt").spec
    assert f'found "{value}", and "car" for key "car"; these are two classes' in caplog.text
    assert {value, "car"} < set(spec.class_names)


def remarks(scale, ratio, height, width, caplog):
    text = changed(
        MINIMAL,
        ("height: 256 width: 320", f"height: {height} width: {width}"),
        ("scale: 32 ratio: 1", f"scale: {scale} ratio: {ratio}"),
    )
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        try:
            parse_experiment(text, "spec.txt")
        except SpecError as error:
            pytest.fail(str(error))
    return [each for each in caplog.messages if "anchor_box_config" in each]


@pytest.mark.parametrize(("height", "width"), [(128, 128), (128, 160), (384, 130), (144, 512)])
@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_anchors_that_all_leave_the_image_are_remarked_with_the_scale_that_fits(height, width, ratio, caplog):
    """Held against the anchors themselves, by the rule by which training picks them."""

    def fits(scale):
        anchors = anchor_grid(-(-height // 16), -(-width // 16), [scale], [ratio])
        return bool(
            np.any(np.all((anchors[:, :2] >= 0) & (anchors[:, 2:] <= [height - 1, width - 1]), axis=1))
        )

    largest = max(scale for scale in range(8, 600) if fits(scale))
    assert remarks(largest, ratio, height, width, caplog) == []
    (remark,) = remarks(largest + 1, ratio, height, width, caplog)
    assert f"expected scales up to {largest}," in remark


@pytest.mark.parametrize("stride", [1, 2, 3, 16])
def test_the_widest_anchor_is_that_of_the_best_cell(stride):
    for side in (*range(1, 200), 1248, 65535):
        centers = [stride * (cell + 0.5) for cell in range(-(-side // stride))]
        expected = 2.0 * max(min(center, side - 1 - center) for center in centers)
        assert _widest_anchor(side, stride) == expected, side
