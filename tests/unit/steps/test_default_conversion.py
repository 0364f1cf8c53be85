"""Folds that the conversion step makes without a conversion spec."""

import json
import shutil

import pytest

import frcnn
from frcnn.data.conversion.convert import make_plan
from frcnn.errors import DataError, UsageError
from frcnn.settings.conversion import conversion_settings
from frcnn.steps.default_conversion import default_conversion
from tests.support.kitti_folder import CAR, write_image


def kitti(folder, stems):
    (folder / "labels").mkdir(parents=True)
    for stem in stems:
        write_image(folder / f"images/{stem}.png", 128, 160)
        (folder / f"labels/{stem}.txt").write_text(f"{CAR}\n")
    return folder


def folds(data, tmp_path):
    """Returns the names of the images in each fold; each must have its label."""
    (tmp_path / "scratch").mkdir()
    plan = make_plan(conversion_settings(default_conversion(data, tmp_path / "scratch")))
    records = [[plan.reader.read(job).record for job in fold] for fold in plan.folds]
    assert all(len(record.labels) == 1 for fold in records for record in fold)
    return [sorted(record.file.rpartition("/")[2] for record in fold) for fold in records]


def test_a_fifth_is_held_out_of_a_set_without_parts(tmp_path):
    assert list(map(len, folds(kitti(tmp_path / "set", "abcdefghij"), tmp_path))) == [2, 8]


@pytest.mark.parametrize("val", ["val", "validation", "val2017"])
def test_folders_for_training_and_validation_are_kept(tmp_path, val):
    for name, stems in (("train", "abc"), (val, "ab"), ("test", "x")):
        kitti(tmp_path / "set" / name, stems)
    expected = [["val_a.png", "val_b.png"], ["train_a.png", "train_b.png", "train_c.png"]]
    assert folds(tmp_path / "set", tmp_path) == expected


def test_lists_of_names_are_kept(tmp_path):
    data = kitti(tmp_path / "set", "abcd")
    (data / "val.txt").write_text("b\n")
    assert folds(data, tmp_path) == [["b.png"], ["a.png", "c.png", "d.png"]]


@pytest.mark.parametrize("name", ["annotations.json", "_annotations.coco.json"])
def test_coco_files_in_a_folder_for_each_part_are_kept(tmp_path, name):
    for part, stems in (("train", "abc"), ("valid", "d")):
        kitti(tmp_path / "kitti" / part, stems)
    frcnn.convert_labels(tmp_path / "kitti", tmp_path / "set", "coco")
    for part in ("train", "valid"):
        shutil.move(tmp_path / "set" / part / "annotations.json", tmp_path / "set" / part / name)
    assert folds(tmp_path / "set", tmp_path) == [["d.png"], ["a.png", "b.png", "c.png"]]


def test_a_coco_file_without_one_for_validation_is_refused(tmp_path):
    kitti(tmp_path / "kitti/train", "abc")
    frcnn.convert_labels(tmp_path / "kitti", tmp_path / "set", "coco")
    with pytest.raises(UsageError, match=r"none for validation\. Add a file such as instances_val"):
        folds(tmp_path / "set", tmp_path)


def test_parts_in_different_formats_are_refused_with_the_command_that_unites_them(tmp_path):
    kitti(tmp_path / "set/train", "abc")
    frcnn.convert_labels(kitti(tmp_path / "other", "d"), tmp_path / "set/val", "coco")
    with pytest.raises(UsageError, match=f"first: frcnn data labels {tmp_path}/set TARGET --to kitti"):
        folds(tmp_path / "set", tmp_path)
    frcnn.convert_labels(tmp_path / "set", tmp_path / "one", "kitti")
    (tmp_path / "scratch").rmdir()
    assert list(map(len, folds(tmp_path / "one", tmp_path))) == [1, 3]


def test_labels_of_another_format_are_named_with_the_location_that_the_user_gave(tmp_path):
    kitti(tmp_path / "kitti/train", "abc")
    frcnn.convert_labels(tmp_path / "kitti/train", tmp_path / "set/train", "voc")
    with pytest.raises(UsageError, match=r"^s3://a/set: has labels of Pascal VOC; .* s3://a/set TARGET"):
        default_conversion(tmp_path / "set", tmp_path, "s3://a/set")


@pytest.mark.parametrize("content", ["nothing", "train/photo.png"])
def test_a_folder_without_labels_is_explained(tmp_path, content):
    (tmp_path / "set").mkdir()
    if content != "nothing":
        write_image(tmp_path / "set" / content)
    with pytest.raises((DataError, UsageError), match=r"set(/train)?: (no folder images/|not a data set)"):
        default_conversion(tmp_path / "set", tmp_path)


def test_names_that_json_escapes_are_kept(tmp_path):
    data = kitti(tmp_path / "set", ["ä b", "c", "d"])
    (data / "val.txt").write_text("ä b\n", encoding="utf-8")
    assert folds(data, tmp_path)[0] == ["ä b.png"]
    assert json.loads((tmp_path / "scratch/sequences.json").read_text("utf-8"))["val"] == ["ä b"]
