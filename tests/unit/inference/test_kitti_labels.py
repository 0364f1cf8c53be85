import numpy as np

from frcnn.inference.kitti_labels import kitti_lines

NAMES = ("car", "traffic light")


def test_a_line_has_sixteen_fields_with_two_and_seven_decimals():
    boxes = np.float32([[10.126, 20.5, 30, 40.999]])
    text = kitti_lines(boxes, np.float32([0.87654321]), np.asarray([0]), NAMES)
    assert text == "car 0 0 0 20.50 10.13 41.00 30.00 0 0 0 0 0 0 0 0.8765432\n"
    assert len(text.split()) == 16


def test_white_space_in_a_class_name_does_not_add_a_field():
    text = kitti_lines(np.zeros((1, 4)), np.ones(1), np.asarray([1]), NAMES)
    assert text.split()[0] == "traffic_light"
    assert len(text.split()) == 16


def test_no_detection_gives_an_empty_file():
    assert kitti_lines(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), NAMES) == ""
