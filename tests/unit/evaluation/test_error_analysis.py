"""Counts and pictures of an error analysis, for scenes worked by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from frcnn.drawing.colors import class_color
from frcnn.drawing.thumbnail import SIDE, Thumbnail
from frcnn.evaluation.error_analysis import BINS, ErrorAnalysis
from frcnn.evaluation.evaluator import Evaluator
from frcnn.evaluation.example_images import EXAMPLE_SIDE, EXAMPLES
from frcnn.evaluation.settings import EvaluationSettings
from frcnn.evaluation.thumbnails import KEPT, RankedThumbnail, TopThumbnails
from tests.support.detection_scenes import Scene, as_batch, random_scenes

SETTINGS = EvaluationSettings(("bus", "car", "dog"), (0.5,), shown_score=0.5)
BUS, CAR, DOG, NOTHING = range(4)


def inspect(scenes, **batch_entries):
    inspection = ErrorAnalysis(SETTINGS, mean=np.zeros(1), scale=1.0, bgr=False)
    found, batch = as_batch(scenes)
    inspection.update(found, {**batch, **batch_entries})
    return inspection


def scene(objects, found):
    """Objects as (class, box) or (class, box, difficult); detections as (class, box, score)."""
    return Scene(
        boxes=np.reshape([each[1] for each in objects], (-1, 4)),
        classes=np.asarray([each[0] for each in objects], int),
        difficult=np.asarray([len(each) > 2 for each in objects], bool),
        found_boxes=np.reshape([each[1] for each in found], (-1, 4)),
        scores=np.asarray([each[2] for each in found], np.float32),
        found_classes=np.asarray([each[0] for each in found], int),
    )


A, B, C, D = [10, 10, 49, 49], [10, 110, 49, 149], [110, 10, 149, 49], [150, 200, 189, 239]


def test_confusion_says_what_was_taken_for_what():
    seen = scene(
        [(BUS, A), (CAR, B), (DOG, C), (DOG, D, "difficult")],
        [
            (BUS, A, 0.9),  # right
            (DOG, B, 0.8),  # a car taken for a dog
            (DOG, C, 0.4),  # right, but not shown: a miss
            (DOG, D, 0.9),  # a difficult object: not counted
            (CAR, [200, 100, 230, 130], 0.7),  # nothing there
            (BUS, A, 0.6),  # a second time: a false alarm
        ],
    )
    expected = np.zeros((4, 4), int)
    expected[BUS, BUS] = expected[CAR, DOG] = expected[DOG, NOTHING] = 1
    expected[NOTHING, CAR] = expected[NOTHING, BUS] = 1
    np.testing.assert_array_equal(inspect([seen]).confusion, expected)


def test_histograms_hold_every_detection_but_those_of_difficult_objects():
    scenes = random_scenes(seed=1, images=30)
    inspection, evaluator = inspect(scenes), Evaluator(SETTINGS)
    evaluator.update(*as_batch(scenes))
    for index, each in enumerate(evaluator.report().results[0].classes):
        assert inspection.right[index].sum() == each.true_positives
        assert inspection.wrong[index].sum() == each.false_positives


def test_a_score_of_one_falls_into_the_last_bin():
    inspection = inspect([scene([(BUS, A)], [(BUS, A, 1.0), (BUS, C, 0.05)])])
    assert inspection.right[BUS].tolist() == [0] * (BINS - 1) + [1]
    assert inspection.wrong[BUS].tolist() == [0, 1] + [0] * (BINS - 2)


def test_each_size_has_its_own_average_precision():
    small, large = [10, 10, 29, 29], [100, 100, 219, 219]  # 20 and 120 px a side
    seen = scene(
        [(BUS, small), (BUS, large)],
        [(BUS, large, 0.9), (BUS, [60, 10, 79, 29], 0.8), (BUS, small, 0.7)],
    )
    results = inspect([seen]).by_size.results(BUS)
    # The small false alarm comes before the small object; the large one has nothing to do with it.
    assert (results["small"].ap, results["small"].objects) == (pytest.approx(0.5), 1)
    assert (results["large"].ap, results["large"].objects) == (pytest.approx(1.0), 1)
    assert (results["medium"].ap, results["medium"].objects) == (None, 0)


def test_sizes_are_those_of_the_original_image():
    seen = scene([(BUS, [10, 10, 29, 29])], [(BUS, [10, 10, 29, 29], 0.9)])
    sizes = {"size": np.array([[240, 320]]), "original_size": np.array([[960, 1280]])}
    results = inspect([seen], **sizes).by_size.results(BUS)
    assert {size: each.objects for size, each in results.items()} == {"small": 0, "medium": 1, "large": 0}


def test_misses_come_with_what_came_nearest():
    seen = scene([(BUS, A), (CAR, B), (DOG, D)], [(CAR, B, 0.3), (DOG, D, 0.9)])
    captions = [each.caption for each in inspect([seen], frame_id=np.array([b"set/1"])).misses]
    assert captions == ["bus: no matching detection, set/1", "car: best score 0.30, set/1"]


def test_only_the_worst_are_kept_the_worst_first():
    found = [(BUS, [5 * at, 5, 5 * at + 20, 20], 0.5 + 0.01 * at) for at in range(20)]
    inspection = inspect([scene([], found)])
    captions = [each.caption for each in inspection.false_alarms]
    assert captions == [f"bus {0.5 + 0.01 * at:.2f}, image 0" for at in range(19, 19 - KEPT, -1)]


def test_a_thumbnail_shows_the_box_in_its_place():
    pixels = np.full((300, 400, 3), 90, np.uint8)
    mistake = RankedThumbnail.cut(1.0, pixels, np.array([100, 150, 139, 229]), CAR, "a car")
    image = np.asarray(Image.open(io.BytesIO(mistake.picture.content)))
    assert image.shape == (mistake.picture.height, mistake.picture.width, 3)
    assert max(image.shape[:2]) == SIDE
    # 80 px wide, shown with 0.6 of that on either side: 176 px, so one px is one px.
    rows, columns = np.nonzero((image == class_color(CAR)).all(axis=-1))
    assert columns.max() - columns.min() == pytest.approx(80, abs=2)
    assert rows.max() - rows.min() == pytest.approx(40, abs=2)


def test_a_box_at_the_border_is_shown_whole():
    pixels = np.zeros((60, 80, 3), np.uint8)
    mistake = RankedThumbnail.cut(1.0, pixels, np.array([0, 0, 59, 79]), BUS, "all of it")
    assert (mistake.picture.width, mistake.picture.height) == (SIDE, round(SIDE * 60 / 80))


def test_of_equally_bad_mistakes_the_first_stay():
    worst = TopThumbnails()
    for number in range(2 * KEPT):
        if worst.takes(0.5):
            worst.add(RankedThumbnail(0.5, Thumbnail(b"", "png", 1, 1), str(number)))
    assert [each.caption for each in worst] == [str(number) for number in range(KEPT)]


@pytest.mark.parametrize("coco", [False, True])
def test_the_counts_of_all_parts_agree_with_the_metrics(coco):
    settings = EvaluationSettings(("bus", "car", "dog"), (0.5,), coco_matching=coco, shown_score=0.4)
    inspection = ErrorAnalysis(settings, mean=np.zeros(1), scale=1.0, bgr=False)
    evaluator = Evaluator(settings)
    found, batch = as_batch(random_scenes(seed=5, images=60))
    inspection.update(found, batch)
    evaluator.update(found, batch)
    result, matrix = evaluator.report().results[0], inspection.confusion
    right = np.trace(matrix)
    assert matrix[:3].sum() == result.shown.objects
    assert right == result.shown.found
    assert matrix[:3].sum() - right == result.shown.missed
    assert matrix[:, :3].sum() - right == result.shown.wrong
    for index, each in enumerate(result.classes):
        assert matrix[index, index] == each.shown.found
        assert matrix[:, index].sum() - matrix[index, index] == each.shown.wrong


def test_the_galleries_show_every_mistake_that_is_counted():
    seen = scene(
        [(BUS, A), (CAR, B), (DOG, C), (BUS, [10, 14, 49, 53])],
        [(BUS, A, 0.9), (DOG, B, 0.8), (BUS, [10, 12, 49, 51], 0.7)],
    )
    inspection = inspect([seen])
    assert {each.caption for each in inspection.misses} == {
        "dog: no matching detection, image 0",
        "car: detected as dog 0.80, image 0",
        "bus: its detection (0.90) counts for another object, image 0",
    }
    assert [each.caption for each in inspection.false_alarms] == ["dog 0.80, image 0", "bus 0.70, image 0"]


def test_the_sample_of_images_depends_neither_on_order_nor_on_batches():
    scenes = random_scenes(seed=4, images=20)
    names = np.array([f"set/{index}".encode() for index in range(20)])
    whole = inspect(scenes, frame_id=names)
    pieces = ErrorAnalysis(SETTINGS, mean=np.zeros(1), scale=1.0, bgr=False)
    for at in reversed(range(20)):
        found, batch = as_batch(scenes[at : at + 1])
        pieces.update(found, {**batch, "frame_id": names[at : at + 1]})
    assert len(whole.examples) == EXAMPLES
    assert [each.caption for each in whole.examples] == [each.caption for each in pieces.examples]


def test_an_example_shows_detections_in_their_color_and_says_what_is_wrong():
    seen = scene([(BUS, A), (CAR, D)], [(BUS, A, 0.9), (DOG, C, 0.8), (DOG, B, 0.1)])
    (example,) = inspect([seen], frame_id=np.array([b"set/1"])).examples
    assert example.caption == "set/1: 1 correct, 1 wrong, 1 missed"
    image = np.asarray(Image.open(io.BytesIO(example.picture.content)).convert("RGB")).astype(int)
    assert max(image.shape[:2]) == EXAMPLE_SIDE
    scale = EXAMPLE_SIDE / 320
    for index, box in ((BUS, A), (DOG, C)):
        y, x = round(box[0] * scale), round((box[1] + box[3]) / 2 * scale) + 20
        assert np.abs(image[y - 1 : y + 2, x] - class_color(index)).sum(axis=1).min() < 60
