import numpy as np
import pytest

from frcnn.data.transforms.preprocess import ImageSettings
from frcnn.errors import DataError
from frcnn.inference.compare import Comparison, Tolerance, compare_batches, network_image
from frcnn.model.detector import DetectionBatch

BOX = [10.0, 20.0, 50.0, 60.0]


def batch(*detections, slots=4):
    """One image with detections (class, score, box)."""
    boxes, scores, classes = np.zeros((1, slots, 4)), np.zeros((1, slots)), np.zeros((1, slots), int)
    for index, (name, score, box) in enumerate(detections):
        boxes[0, index], scores[0, index], classes[0, index] = box, score, name
    return DetectionBatch(boxes, scores, classes, np.asarray([len(detections)]))


def moved(by):
    return [BOX[0] + by, *BOX[1:]]


@pytest.mark.parametrize(
    ("other", "matched"),
    [
        ((0, 0.9, BOX), 1),
        ((0, 0.9, moved(0.4)), 1),
        ((0, 0.9, moved(0.6)), 0),
        ((1, 0.9, BOX), 0),
        ((0, 0.902, BOX), 0),
    ],
)
def test_equal_is_same_class_and_near_box_and_near_score(other, matched):
    found = compare_batches(batch((0, 0.9, BOX)), batch(other), Tolerance())
    assert (found.expected, found.found, found.matched) == (1, 1, matched)
    assert found.unmatched == 1 - matched
    assert found.within(Tolerance()) == bool(matched)


def test_each_detection_has_one_counterpart_at_most():
    twice = batch((0, 0.9, BOX), (0, 0.9, moved(0.1)))
    found = compare_batches(twice, batch((0, 0.9, BOX)), Tolerance())
    assert (found.expected, found.found, found.matched) == (2, 1, 1)
    assert found.unmatched == pytest.approx(1 / 3)
    assert not found.within(Tolerance())
    assert found.within(Tolerance(unmatched=0.4))


def test_padding_does_not_count():
    found = compare_batches(batch(), batch(), Tolerance())
    assert (found.images, found.expected, found.unmatched) == (1, 0, 0.0)


def test_sums_keep_the_largest_difference():
    total = Comparison(1, 2, 2, 2, 0.25, 1e-4) + Comparison(2, 1, 0, 0, 0.0, 0.0)
    assert total == Comparison(3, 3, 2, 2, 0.25, 1e-4)
    table = total.table(Tolerance())
    assert "20.000 %" in table
    assert "0.25000 px        0.5 px" in table


def test_an_image_that_cannot_be_read_is_named_without_the_names_of_nodes(tmp_path):
    path = tmp_path / "broken\n.jpg"
    path.write_bytes(b"no picture at all, but long enough to be looked at")
    settings = ImageSettings(64, 64, 3, "rgb", (0.0, 0.0, 0.0), 1.0, auto_resize=True)
    with pytest.raises(DataError) as caught:
        network_image(path, settings)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/broken\\n.jpg: cannot be read as an image (")
    assert "\n" not in message and "{{" not in message and "Op:" not in message
