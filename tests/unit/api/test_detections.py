"""Detections of one image: indexing, drawing, and the formats of others."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import frcnn
from frcnn.errors import UsageError

BOXES = np.float32([[10, 20, 50, 60.5], [0, 0, 99, 79], [30, 5, 40, 15]])


@pytest.fixture
def found():
    return frcnn.Detections(
        BOXES, np.float32([0.9, 0.8, 0.5]), np.int64([1, 0, 1]), ("car", "traffic light"), (80, 100), "a.png"
    )


def empty():
    none = np.zeros(0)
    return frcnn.Detections(none, none, none, ("car", "traffic light"), (80, 100))


def test_an_index_gives_one_object(found):
    assert found[0] == frcnn.Detection((10.0, 20.0, 50.0, 60.5), pytest.approx(0.9), 1, "traffic light")
    assert found[-1].label == "traffic light" and len(found) == 3
    assert [each.class_id for each in found] == [1, 0, 1]
    assert found.label == ("traffic light", "car", "traffic light")
    with pytest.raises(IndexError):
        found[3]


@pytest.mark.parametrize(
    "chosen", [slice(0, 2), np.array([True, True, False]), np.array([0, 1]), [0, 1]], ids=str
)
def test_slices_masks_and_indices_give_detections(found, chosen):
    some = found[chosen]
    np.testing.assert_array_equal(some.xyxy, BOXES[:2])
    assert (some.size, some.source, some.class_names) == (found.size, found.source, found.class_names)


def test_nothing_found_keeps_its_shape():
    assert len(empty()) == 0 and list(empty()) == [] and empty().label == ()
    assert empty().xyxy.shape == (0, 4) and empty()[empty().score > 0.5].xyxy.shape == (0, 4)
    assert empty().to_kitti() == "" and empty().to_coco(1) == []
    assert empty().to_supervision()["data"]["class_name"].shape == (0,)


def test_results_cannot_be_changed(found):
    with pytest.raises(ValueError, match="read-only"):
        found.xyxy[0, 0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.size = (1, 1)


def test_arrays_that_do_not_fit_together_are_refused():
    with pytest.raises(UsageError, match="class_id has 1 rows and score 3"):
        frcnn.Detections(BOXES, np.ones(3), np.ones(1), ("car",), (80, 100))


def test_a_repr_says_what_is_there(found):
    assert repr(found) == "<Detections: 2 traffic light, 1 car in 100x80 px of a.png>"
    assert repr(empty()) == "<Detections: nothing in 100x80 px>"


def test_drawing_gives_a_copy_in_rgb(found):
    pixels = np.zeros((80, 100, 3), np.uint8)
    drawn = found.draw(pixels)
    assert drawn.shape == (80, 100, 3) and drawn.dtype == np.uint8 and not pixels.any()
    plain = found.draw(pixels, captions=False)
    assert (drawn != plain).any()
    changed = np.argwhere(plain.any(axis=-1))
    assert changed.min() == 0  # the second box is at the image's edge
    np.testing.assert_array_equal(found.draw(Image.fromarray(pixels)), drawn)
    with pytest.raises(
        UsageError, match=r"image of 20x10 px \(width x height\): the detections are of one of 100x80"
    ):
        found.draw(np.zeros((10, 20, 3), np.uint8))


def test_kitti_lines_have_the_corners_and_the_score(found):
    first = found.to_kitti().splitlines()[0].split()
    assert first[0] == "traffic_light"
    assert [float(each) for each in first[4:8]] == [10.0, 20.0, 50.0, 60.5]
    assert (len(first), float(first[-1])) == (16, pytest.approx(0.9))


def test_coco_rows_are_what_pycocotools_scores(found):
    annotations = {
        "images": [{"id": 7, "width": 100, "height": 80}],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "traffic light"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 2,
                "bbox": [10, 20, 40, 40.5],
                "area": 1620,
                "iscrowd": 0,
            },
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 99, 79], "area": 7821, "iscrowd": 0},
            {"id": 3, "image_id": 7, "category_id": 2, "bbox": [30, 5, 10, 10], "area": 100, "iscrowd": 0},
        ],
    }
    truth = COCO()
    truth.dataset = annotations
    truth.createIndex()
    rows = json.loads(json.dumps(found.to_coco(7)))
    scored = COCOeval(truth, truth.loadRes(rows), "bbox")
    scored.evaluate()
    scored.accumulate()
    scored.summarize()
    assert scored.stats[0] == pytest.approx(1.0)


def test_coco_categories_may_have_other_numbers(found):
    rows = found.to_coco(1, {"car": 3, "traffic light": 10})
    assert [row["category_id"] for row in rows] == [10, 3, 10]
    with pytest.raises(UsageError, match="category_ids: no id for traffic light"):
        found.to_coco(1, {"car": 3})


def test_supervision_takes_the_fields(found):
    sv = pytest.importorskip("supervision", reason="supervision is not among the packages of this project")
    boxes = sv.Detections(**found.to_supervision())
    np.testing.assert_array_equal(boxes.xyxy, found.xyxy)
    assert boxes.data["class_name"].tolist() == list(found.label)
    assert len(sv.Detections(**empty().to_supervision())) == 0


def test_plain_values_go_through_json(found):
    values = json.loads(json.dumps(found.to_dict()))
    assert values["size"] == [80, 100] and values["source"] == "a.png"
    assert values["detections"][1] == {
        "label": "car",
        "class_id": 0,
        "score": pytest.approx(0.8),
        "xyxy": [0.0, 0.0, 99.0, 79.0],
    }
