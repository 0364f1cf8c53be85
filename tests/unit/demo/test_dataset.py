import numpy as np
import pytest
from PIL import Image

from frcnn.data.conversion.kitti.reader import KittiReader
from frcnn.demo import dataset
from frcnn.demo.shapes import CLASSES, Shape, draw_scene
from frcnn.errors import UsageError


def _write(folder, **changes):
    dataset.write_demo_data(folder, **{"images": 3, "seed": 1, "height": 96, "width": 128, **changes})
    return folder


def _content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_same_seed_draws_the_same_bytes(tmp_path):
    first, again = (_content(_write(tmp_path / name)) for name in ("a", "b"))
    assert first == again
    assert sorted(first) == ["README.txt"] + [
        f"{folder}/{n:06d}{ending}"
        for folder, ending in (("images", ".jpg"), ("labels", ".txt"))
        for n in range(3)
    ]
    assert first["README.txt"].startswith(b"Synthetic data set")


def test_another_seed_draws_other_images(tmp_path):
    first, other = (_content(_write(tmp_path / str(seed), seed=seed)) for seed in (1, 2))
    assert all(first[name] != other[name] for name in first)


def test_more_images_begin_with_the_same_ones(tmp_path):
    few, many = (_content(_write(tmp_path / str(count), images=count)) for count in (2, 3))
    assert all(many[name] == content for name, content in few.items() if name != "README.txt")


def test_the_converters_reader_finds_no_fault(tmp_path):
    _write(tmp_path / "data", images=12)
    reader = KittiReader(tmp_path / "data", "images", "labels")
    readings = [reader.read(f"{n:06d}.jpg") for n in range(12)]
    assert all(reading.faults == () for reading in readings)
    assert all((reading.record.height, reading.record.width) == (96, 128) for reading in readings)
    assert {label.class_name for reading in readings for label in reading.record.labels} == set(CLASSES)


@pytest.mark.parametrize("number", range(8))
def test_boxes_lie_inside_and_do_not_overlap(number):
    _, shapes = draw_scene(np.random.default_rng(number), 90, 140)
    assert 1 <= len(shapes) <= 6
    for shape in shapes:
        x1, y1, x2, y2 = shape.box
        assert 0 <= x1 < x2 <= 139
        assert 0 <= y1 < y2 <= 89
    covered = np.zeros((90, 140), int)
    for x1, y1, x2, y2 in (shape.box for shape in shapes):
        covered[y1 : y2 + 1, x1 : x2 + 1] += 1
    assert covered.max() == 1


def test_boxes_fit_tightly(monkeypatch):
    # Without noise and lines, what differs between a scene and its background is the object.
    monkeypatch.setattr("frcnn.demo.shapes._noisy", lambda random, image, strength: image)
    monkeypatch.setattr(
        "frcnn.demo.shapes._background", lambda random, h, w: Image.new("RGB", (w, h), (128, 128, 128))
    )
    monkeypatch.setattr("frcnn.demo.shapes.MAX_OBJECTS", 1)
    for number in range(6):
        image, (shape,) = draw_scene(np.random.default_rng(number), 120, 160)
        rows, columns = np.nonzero(np.abs(np.asarray(image, int) - 128).sum(-1) > 60)
        drawn = (columns.min(), rows.min(), columns.max(), rows.max())
        np.testing.assert_allclose(shape.box, drawn, atol=1)


def test_a_label_line_has_the_fields_of_kitti():
    assert Shape("circle", (1, 2, 3, 4)).kitti_line() == "circle 0.00 0 0 1.00 2.00 3.00 4.00 0 0 0 0 0 0 0"


def test_its_own_data_set_is_replaced_and_an_empty_folder_filled(tmp_path):
    (tmp_path / "data").mkdir()
    _write(tmp_path / "data", images=3)
    _write(tmp_path / "data", images=1)
    assert sorted(_content(tmp_path / "data")) == ["README.txt", "images/000000.jpg", "labels/000000.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("name", ["mine.txt", "README.txt"])
def test_a_folder_with_anything_else_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="was not created by demo-data"):
        _write(tmp_path)
    assert _content(tmp_path) == {name: b"mine"}


def test_a_file_in_the_place_of_the_folder_is_left_alone(tmp_path):
    (tmp_path / "data").write_text("mine")
    with pytest.raises(UsageError, match="was not created"):
        _write(tmp_path / "data")


def test_ctrl_c_leaves_nothing(tmp_path, monkeypatch):
    def _interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "draw_scene", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("changes", [{"images": 0}, {"height": 63}, {"width": 10}, {"seed": -1}])
def test_numbers_out_of_range_are_an_error(tmp_path, changes):
    with pytest.raises(UsageError, match="expected"):
        _write(tmp_path / "data", **changes)
