import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from frcnn.data.transforms.preprocess import ImageSettings, prepare_image
from frcnn.inference.predictor import Prediction, Unreadable, predict, to_original
from tests.support.image_folders import PLAIN, PatchDetector, picture, save


def run(paths, *, batch_size=2, threshold=0.5, detector=None):
    detector = detector or PatchDetector()
    return list(predict(detector, paths, PLAIN, batch_size=batch_size, score_threshold=threshold))


def test_boxes_come_back_in_pixels_of_the_original(tmp_path):
    path = save(tmp_path / "a.png", picture((16, 24, 48, 72)))  # 64x96, twice the input size
    (found,) = run([path])
    np.testing.assert_allclose(found.boxes, [[16, 24, 48, 72]], atol=2.0)
    assert (found.classes.tolist(), found.scores.tolist()) == ([1], [pytest.approx(0.9)])


def test_detections_below_the_threshold_are_left_out_and_the_rest_is_sorted(tmp_path):
    path = save(tmp_path / "a.png", picture((16, 24, 48, 72)))
    (found,) = run([path], threshold=0.2)
    assert found.scores.tolist() == pytest.approx([0.9, 0.3])  # the detector gives them the other way round
    assert found.classes.tolist() == [1, 0]


def test_boxes_are_clipped_to_the_original_image():
    boxes = to_original(np.float32([[-3, -1, 40, 60]]), (32, 48), (100, 200))
    assert boxes.tolist() == [[0, 0, 99, 199]]


def test_each_axis_has_its_own_scale():
    boxes = to_original(np.float32([[8, 12, 16, 24]]), (32, 48), (64, 480))
    assert boxes.tolist() == [[16, 120, 32, 240]]


def test_the_last_batch_is_filled_up_so_that_the_shape_stays(tmp_path):
    paths = [save(tmp_path / f"{n}.png", picture((8 * n, 8, 8 * n + 8, 16))) for n in range(5)]
    detector = PatchDetector()
    results = run(paths, detector=detector)
    assert [result.path for result in results] == paths
    assert {batch.shape for batch in detector.batches} == {(2, 32, 48, 3)}
    assert not detector.batches[-1][1].any()
    # Every image has its own answer.
    assert [round(float(result.boxes[0, 0]) / 8) for result in results] == [0, 1, 2, 3, 4]


def test_unreadable_files_are_named_with_a_reason_and_leave_no_gap_in_a_batch(tmp_path):
    good = [save(tmp_path / f"{n}.png", picture((8, 8, 16, 16))) for n in range(3)]
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("this is no image")
    whole = save(tmp_path / "whole.jpg", picture((8, 8, 16, 16))).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    bad = [tmp_path / name for name in ("empty.jpg", "text.png", "cut.jpg", "gone.jpg")]
    detector = PatchDetector()
    results = run([good[0], *bad, *good[1:]], detector=detector)
    unreadable = [result for result in results if isinstance(result, Unreadable)]
    assert [result.path for result in unreadable] == bad
    assert all(result.reason and "{{" not in result.reason for result in unreadable)
    assert unreadable[-1].reason == "No such file or directory"
    assert [result.path for result in results if isinstance(result, Prediction)] == good
    assert len(detector.batches) == 2


def test_images_are_prepared_by_the_function_of_training_and_evaluation(tmp_path):
    settings = ImageSettings(20, 30, 3, "bgr", (103.9, 116.8, 123.7), 2.0, auto_resize=True)
    path = save(tmp_path / "a.jpg", np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8))
    detector = PatchDetector()
    list(predict(detector, [path], settings, batch_size=1, score_threshold=0.5))
    expected, _ = prepare_image(tf.constant(path.read_bytes()), settings)
    np.testing.assert_array_equal(detector.batches[0][0], expected)


def test_a_gray_model_takes_color_images_and_gives_back_color_pixels(tmp_path):
    settings = dataclasses.replace(PLAIN, channels=1, order="l", mean=(0.0,))
    pixels = picture((16, 24, 48, 72))
    pixels[0, 0] = (255, 0, 0)
    detector = PatchDetector()
    path = save(tmp_path / "a.png", pixels)
    (found,) = predict(detector, [path], settings, batch_size=1, score_threshold=0.5)
    assert detector.batches[0].shape == (1, 32, 48, 1)
    np.testing.assert_array_equal(found.pixels(), pixels)


def test_no_file_gives_no_result():
    assert run([]) == []


def test_images_of_their_own_sizes_are_padded_to_a_common_shape_and_come_back_in_their_pixels(tmp_path):
    settings = dataclasses.replace(PLAIN, height=0, width=0, min_side=32, max_side=80)
    patches = {(64, 96): (16, 24, 48, 72), (96, 64): (24, 16, 72, 48), (40, 200): (10, 50, 30, 150)}
    paths = [
        save(tmp_path / f"{number}.png", picture(patch, *size))
        for number, (size, patch) in enumerate(patches.items())
    ]
    detector = PatchDetector()
    results = list(predict(detector, paths, settings, batch_size=2, score_threshold=0.5))
    assert [batch.shape for batch in detector.batches] == [(2, 64, 64, 3), (2, 64, 128, 3)]
    # 40x200 becomes 16x80: the longer side has its limit in inference too. The last batch is filled up.
    assert [sizes.tolist() for sizes in detector.sizes] == [[[32, 48], [48, 32]], [[16, 80], [64, 128]]]
    for result, patch in zip(results, patches.values(), strict=True):
        np.testing.assert_allclose(result.boxes, [patch], atol=3.0)
