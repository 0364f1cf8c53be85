import os
import tracemalloc
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from frcnn.data.conversion.faults import MAX_NAMED, IssueKind, Remark
from frcnn.data.conversion.kitti.reader import MAX_LABEL_BYTES, KittiReader, parse_label
from frcnn.data.records.annotations import Calibration, ImageRecord, Label
from tests.support.kitti_folder import CAR, DONT_CARE, HEIGHT, PEDESTRIAN, WIDTH, write_image, write_kitti


def _reader(root, **options):
    return KittiReader(root, "image_2", "label_2", **options)


PLACES = {"occluded": 2, "x1": 4, "y1": 5, "x2": 6, "y2": 7, "z": 13, "rotation": 14}


def _fields(**changes):
    fields = CAR.split()
    for name, value in changes.items():
        fields[PLACES[name]] = value
    return fields


def test_label_fields_land_where_they_belong():
    label = parse_label(CAR.split(), HEIGHT, WIDTH)
    assert label == Label(
        class_name="car", x1=10.25, y1=20.0, x2=40.0, y2=60.5, truncation=0.5, occlusion=1,
        observation_angle=-1.57, world_height=1.5, world_width=1.6, world_length=3.9,
        world_x=-2.0, world_y=1.5, world_z=12.0, rotation_y=0.25,
    )  # fmt: skip


def test_a_score_at_the_end_is_ignored():
    assert parse_label([*CAR.split(), "0.9"], HEIGHT, WIDTH) == parse_label(CAR.split(), HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (CAR.split()[:14], IssueKind.FIELD_COUNT),
        ([*CAR.split(), "1", "2"], IssueKind.FIELD_COUNT),
        (["traffic", "light", *CAR.split()[1:]], IssueKind.CLASS_NAME),
        (["traffic", "light", *CAR.split()[1:], "0.9"], IssueKind.CLASS_NAME),
        (["heavy", "goods", "vehicle", *CAR.split()[1:]], IssueKind.CLASS_NAME),
        (["type", "2", *CAR.split()[1:]], IssueKind.CLASS_NAME),  # no truncation is 2
        (["type", "1", *CAR.split()[1:]], IssueKind.CLASS_NAME),  # but one may be 1
        (["type", "0", *PEDESTRIAN.split()[1:]], IssueKind.CLASS_NAME),
        (["usb", "3.0", *CAR.split()[1:]], IssueKind.CLASS_NAME),
        (["type", "0.5", *PEDESTRIAN.split()[1:]], IssueKind.CLASS_NAME),
        (["x" * 201, *CAR.split()[1:]], IssueKind.CLASS_NAME),
        (_fields(x1="ten"), IssueKind.NOT_A_NUMBER),
        (_fields(rotation="nan"), IssueKind.NOT_A_NUMBER),
        (_fields(x2="inf"), IssueKind.NOT_A_NUMBER),
        (_fields(z="1e39"), IssueKind.NOT_A_NUMBER),
        (_fields(occluded="0.5"), IssueKind.NOT_A_NUMBER),
        (_fields(occluded="1e15"), IssueKind.NOT_A_NUMBER),
        (_fields(x2="10.9"), IssueKind.ZERO_AREA),
        (_fields(y1="60.5"), IssueKind.ZERO_AREA),
        (_fields(x1="40", x2="10"), IssueKind.ZERO_AREA),
        (_fields(x1="100", x2="120"), IssueKind.OUTSIDE),
        (_fields(x1="-20", x2="-1"), IssueKind.OUTSIDE),
        (_fields(y1="80", y2="90"), IssueKind.OUTSIDE),
    ],
)
def test_faulty_lines_are_told_apart(fields, kind):
    found = parse_label(fields, HEIGHT, WIDTH)
    assert isinstance(found, tuple)
    assert found[0] is kind


@pytest.mark.parametrize("text", ["1_0", "_10", "10_"])
def test_a_number_with_an_underscore_is_a_typing_error(text):
    fields = CAR.split()
    fields[4] = text
    assert parse_label(fields, 100, 200) == (IssueKind.NOT_A_NUMBER, f"{text} is not a number")


def test_the_reason_says_what_is_wrong_with_the_name_and_what_to_write():
    _, reason = parse_label(["traffic", "light", *CAR.split()[1:]], HEIGHT, WIDTH)
    assert reason == '"traffic light" contains a space, which separates fields; write "trafficlight"'


@pytest.mark.parametrize(
    "line",
    [
        "Car 0 0 0 10 20 40 60 0 0 0 0 0 0 0 0.9",  # as inference writes it
        "Car 1 0 0 0 20 40 60 0 0 0 0 0 0 0 0.9",  # truncated, at the left border
        "Car 0.5 1 0 2 20 40 60 0 0 0 0 0 0 0 0.9",
        "Car -1 -1 -10 10 20 40 60 1.5 1.6 3.9 -2 1.5 12 0.25 0.5",  # as KITTI's devkit wants it
    ],
)
def test_a_line_with_a_score_is_not_taken_for_a_name_with_a_number(line):
    label = parse_label(line.split(), HEIGHT, WIDTH)
    assert isinstance(label, Label)
    assert (label.class_name, label.y1) == ("car", float(line.split()[5]))


@pytest.mark.parametrize("changes", [{"x1": "-5"}, {"x2": "500"}, {"y1": "-0.5", "y2": "81"}])
def test_boxes_over_the_border_stay_as_they_are(changes):
    label = parse_label(_fields(**changes), HEIGHT, WIDTH)
    assert isinstance(label, Label)
    assert all(getattr(label, name) == float(value) for name, value in changes.items())


@given(st.lists(st.text(min_size=1), max_size=17))
@example(["a", *["1e999"] * 14])
@example(["a", *["-nan"] * 14])
def test_no_line_is_too_odd(fields):
    found = parse_label(fields, HEIGHT, WIDTH)
    assert isinstance(found, Label) or isinstance(found[0], IssueKind)


def test_an_image_is_read_with_its_labels(tmp_path):
    write_kitti(tmp_path, {"000001": [CAR, "", "  ", PEDESTRIAN, DONT_CARE]})
    reading = _reader(tmp_path).read("000001.png")
    assert reading.faults == ()
    assert reading.source_names == {"Car", "Pedestrian", "DontCare"}
    record = reading.record
    assert (record.frame_id, record.height, record.width) == ("image_2/000001", HEIGHT, WIDTH)
    assert [label.class_name for label in record.labels] == ["car", "pedestrian", "dontcare"]
    assert record.encoded is None


def test_an_image_without_objects_is_kept(tmp_path):
    write_kitti(tmp_path, {"empty": []})
    expected = ImageRecord("image_2/empty", HEIGHT, WIDTH, file="image_2/empty.png")
    assert _reader(tmp_path).read("empty.png").record == expected


def test_a_bad_line_costs_itself_only_and_is_named_with_its_number(tmp_path):
    write_kitti(tmp_path, {"a": [CAR, "", "Car 0 0", PEDESTRIAN]})
    reading = _reader(tmp_path).read("a.png")
    assert [label.class_name for label in reading.record.labels] == ["car", "pedestrian"]
    (fault,) = reading.faults
    assert (fault.kind, fault.file, fault.line) == (
        IssueKind.FIELD_COUNT,
        str(tmp_path / "label_2/a.txt"),
        3,
    )
    assert str(fault).startswith(f"{tmp_path}/label_2/a.txt:3: ")


def test_windows_line_ends_and_byte_order_mark_are_read(tmp_path):
    write_kitti(tmp_path, {"a": []})
    (tmp_path / "label_2/a.txt").write_bytes(b"\xef\xbb\xbf" + CAR.encode() + b"\r\n")
    assert _reader(tmp_path).read("a.png").record.labels[0].class_name == "car"


@pytest.mark.parametrize(
    ("break_it", "kind"),
    [
        (lambda root: (root / "label_2/a.txt").unlink(), IssueKind.NO_LABELS),
        (lambda root: (root / "label_2/a.txt").write_bytes(b"Car \xff\xfe"), IssueKind.UNREADABLE_LABELS),
        (lambda root: (root / "image_2/a.png").unlink(), IssueKind.NO_IMAGE),
        (lambda root: (root / "image_2/a.png").write_bytes(b""), IssueKind.BROKEN_IMAGE),
    ],
)
def test_what_costs_the_image_is_returned_as_a_fault(tmp_path, break_it, kind):
    write_kitti(tmp_path, {"a": [CAR]})
    break_it(tmp_path)
    reading = _reader(tmp_path).read("a.png")
    assert reading.record is None
    assert [fault.kind for fault in reading.faults] == [kind]
    assert kind.cost == "image"


def test_embedded_images_are_the_files_bytes(tmp_path):
    write_kitti(tmp_path, {"a": [CAR]})
    record = _reader(tmp_path, embed_images=True).read("a.png").record
    assert (record.encoded, record.image_format) == ((tmp_path / "image_2/a.png").read_bytes(), "png")


CALIBRATION = """\
P0: 9 9 9 9 9 9 9 9 9 9 9 9
P2: 2 0 5 7 0 2 3 0 0 0 1 0
R0_rect: 0 -1 0 1 0 0 0 0 1
Tr_velo_to_cam: 1 0 0 10 0 1 0 20 0 0 1 30

"""


def test_calibration_and_point_cloud_are_added_when_asked_for(tmp_path):
    write_kitti(tmp_path, {"a": [CAR]})
    (tmp_path / "calib").mkdir()
    (tmp_path / "calib/a.txt").write_text(CALIBRATION)
    record = _reader(tmp_path, point_clouds_dir="velodyne", calibrations_dir="calib").read("a.png").record
    assert record.point_cloud_id == "velodyne/a"
    # R turns x to y and y to -x, so the shift (10, 20) becomes (-20, 10); then u = 2x + 5z + 7, v = 2y + 3z.
    assert record.calibration == Calibration(
        (0, -1, 0, -20, 1, 0, 0, 10, 0, 0, 1, 30, 0, 0, 0, 1),
        (0, -2, 5, -40 + 150 + 7, 2, 0, 3, 20 + 90, 0, 0, 1, 30),
    )


@pytest.mark.parametrize(
    "text", [None, "", CALIBRATION.replace("P2", "P3"), CALIBRATION.replace("2 0 5", "2 0"), "P2: a b"]
)
def test_an_unusable_calibration_file_costs_the_image(tmp_path, text):
    write_kitti(tmp_path, {"a": [CAR]})
    (tmp_path / "calib").mkdir()
    if text is not None:
        (tmp_path / "calib/a.txt").write_text(text)
    reading = _reader(tmp_path, calibrations_dir="calib").read("a.png")
    assert reading.record is None
    assert reading.faults[0].kind is IssueKind.BAD_CALIBRATION
    assert str(tmp_path / "calib/a.txt") in reading.faults[0].reason


def test_upper_case_file_names_are_read(tmp_path):
    write_kitti(tmp_path, {"b": [CAR]})
    write_image(tmp_path / "image_2/b.JPG")
    assert _reader(tmp_path).read("b.JPG").record.frame_id == "image_2/b"


def test_a_label_file_of_any_size_costs_flat_memory(tmp_path):
    write_kitti(tmp_path, {"a": []})
    with (tmp_path / "label_2/a.txt").open("wb") as stream:
        stream.truncate(500 << 20)
    tracemalloc.start()
    reading = _reader(tmp_path).read("a.png")
    assert tracemalloc.get_traced_memory()[1] < 4 * MAX_LABEL_BYTES
    tracemalloc.stop()
    assert (reading.record, reading.faults[0].reason) == (None, "larger than 10 MiB")


def test_a_reason_quotes_no_more_than_can_be_read(tmp_path):
    field = "x" * 1_000_000
    write_kitti(tmp_path, {"a": [" ".join(_fields(x1=field)), CAR]})
    (fault,) = _reader(tmp_path).read("a.png").faults
    assert fault.kind is IssueKind.NOT_A_NUMBER
    assert len(str(fault)) < 1000 and len(fault.reason) < 400


def test_of_very_many_faulty_lines_the_first_are_named_and_all_are_counted(tmp_path):
    write_kitti(tmp_path, {"a": ["nonsense"] * 5000 + [CAR] + [" ".join(_fields(x1="ten"))] * 7})
    reading = _reader(tmp_path).read("a.png")
    assert len(reading.record.labels) == 1
    assert len(reading.faults) == MAX_NAMED + 2
    counts = Counter()
    for fault in reading.faults:
        counts[fault.kind] += fault.count
    assert counts == {IssueKind.FIELD_COUNT: 5000, IssueKind.NOT_A_NUMBER: 7}


@pytest.mark.parametrize("folder", ["image_2", "label_2"])
def test_a_pipe_costs_its_image_at_once(tmp_path, folder):
    write_kitti(tmp_path, {"a": [CAR]})
    path = next((tmp_path / folder).iterdir())
    path.unlink()
    os.mkfifo(path)
    reading = _reader(tmp_path).read("a.png")
    assert reading.record is None
    assert reading.faults[0].reason == "a named pipe, not a regular file"


def test_a_frame_that_leads_out_of_the_image_folder_is_not_read(tmp_path):
    write_kitti(tmp_path, {"a": [CAR]})
    write_image(tmp_path / "private.png")
    reading = _reader(tmp_path, embed_images=True).read("../private.png")
    assert (reading.record, reading.faults[0].reason) == (None, "not below the image folder")


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_labels_go_by_the_shown_picture_only_if_asked(tmp_path, orientation):
    write_kitti(
        tmp_path, {"a": ["Car 0 0 0 5 85 60 95 0 0 0 0 0 0 0"]}
    )  # inside 80 x 100, outside of 100 x 80
    write_image(tmp_path / "image_2/a.png", orientation=orientation)
    plain, turned = (_reader(tmp_path, apply_exif=apply).read("a.png") for apply in (False, True))
    assert (plain.record.height, plain.record.width, plain.record.orientation) == (HEIGHT, WIDTH, 1)
    assert (len(plain.record.labels), plain.remarks) == (0, {Remark.TURNED} if orientation != 1 else set())
    sideways = orientation in (6, 8)
    size = (WIDTH, HEIGHT) if sideways else (HEIGHT, WIDTH)
    assert (turned.record.height, turned.record.width, turned.record.orientation) == (*size, orientation)
    assert len(turned.record.labels) == sideways


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(tmp_path, end):
    write_kitti(tmp_path, {"000": []})
    text = end.join([CAR, "broken", PEDESTRIAN, ""])
    (tmp_path / "label_2/000.txt").write_bytes(text.encode())
    reading = _reader(tmp_path).read("000.png")
    assert [label.class_name for label in reading.record.labels] == ["car", "pedestrian"]
    assert [(fault.line, fault.kind) for fault in reading.faults] == [(2, IssueKind.FIELD_COUNT)]
