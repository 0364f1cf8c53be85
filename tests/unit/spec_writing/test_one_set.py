"""Data sets that are split into folders or by lists already."""

import json
from pathlib import Path

import pytest
from PIL import Image

from frcnn.data.conversion.convert import make_plan
from frcnn.demo.specs import convert_spec
from frcnn.errors import UsageError
from frcnn.settings.conversion import conversion_settings
from frcnn.spec import load_dataset_export
from frcnn.spec_writing.one_set import SEQUENCES, join, one_set
from frcnn.survey.layouts import kitti_parts


def part(folder: Path, images: int, image_dir: str = "images", label_dir: str = "labels") -> None:
    for name in (image_dir, label_dir):
        (folder / name).mkdir(parents=True)
    for number in range(images):
        Image.new("RGB", (160, 128)).save(folder / image_dir / f"{number}.png")
        (folder / label_dir / f"{number}.txt").write_text("Car 0 0 0 10 10 40 50 0 0 0 0 0 0 0\n")


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_the_conversion_keeps_the_split_and_leaves_test_images_out(tmp_path, val):
    part(tmp_path / "set/train", 5)
    part(tmp_path / f"set/{val}", 2, "image_2", "label_2")
    part(tmp_path / "set/test", 9)
    join(kitti_parts(tmp_path / "set"), tmp_path / "joined")
    spec = tmp_path / "convert.txt"
    spec.write_text(convert_spec(tmp_path / "joined", "images", "labels", ".png", sequences=SEQUENCES))
    plan = make_plan(conversion_settings(load_dataset_export(spec)))
    records = [[plan.reader.read(job).record for job in fold] for fold in plan.folds]
    assert [sorted(record.file for record in fold) for fold in records] == [
        [f"images/val_{number}.png" for number in range(2)],
        [f"images/train_{number}.png" for number in range(5)],
    ]
    assert all(len(record.labels) == 1 for fold in records for record in fold)


@pytest.mark.parametrize("names", [["val", "test"], ["a", "b"]])
def test_other_folders_are_no_split_set(tmp_path, names):
    for name in names:
        part(tmp_path / name, 1)
    assert kitti_parts(tmp_path) == {}


def test_folders_without_images_and_labels_are_no_split_set(tmp_path):
    part(tmp_path / "train", 1)
    (tmp_path / "val").mkdir()
    assert kitti_parts(tmp_path) == {}


def one_set_of(data, tmp_path):
    return one_set(data, joined=tmp_path / "joined", sequences=tmp_path / "out/sequences.json")


def test_lists_of_names_become_sequences_and_other_images_are_in_none(tmp_path):
    part(tmp_path / "set", 6)
    (tmp_path / "set/train.txt").write_text("0\n1\n2\n")
    (tmp_path / "set/val.txt").write_text("images/3.png\n")
    (tmp_path / "set/test.txt").write_text("4\n")
    found = one_set_of(tmp_path / "set", tmp_path)
    assert (found.root, found.why) == (tmp_path / "set", "the images of the list val")
    assert json.loads(Path(found.sequences).read_text()) == {"train": ["0", "1", "2"], "val": ["3"]}


def test_a_list_for_validation_leaves_the_other_images_for_training(tmp_path):
    part(tmp_path / "set", 4)
    (tmp_path / "set/val.txt").write_text("2\n")
    found = one_set_of(tmp_path / "set", tmp_path)
    assert json.loads(Path(found.sequences).read_text()) == {"train": ["0", "1", "3"], "val": ["2"]}


def test_a_longer_list_for_validation_is_refused_by_its_name(tmp_path):
    part(tmp_path / "set", 4)
    (tmp_path / "set/train.txt").write_text("0\n")
    (tmp_path / "set/val.txt").write_text("1\n2\n3\n")
    with pytest.raises(UsageError, match=r"val.txt: 3 images for validation, but only 1 for training"):
        one_set_of(tmp_path / "set", tmp_path)


@pytest.mark.parametrize("names", [["train"], ["train", "test"]])
def test_without_a_part_for_validation_that_for_training_is_split_at_random(tmp_path, names):
    for name in names:
        part(tmp_path / "set" / name, 5)
    found = one_set_of(tmp_path / "set", tmp_path)
    assert (found.root, found.sequences) == (tmp_path / "set/train", "")
    assert found.why == "a fifth of the images, drawn at random"
    assert not (tmp_path / "joined").exists()


def test_a_joined_folder_is_replaced_and_nothing_else(tmp_path):
    part(tmp_path / "set/train", 3)
    part(tmp_path / "set/val", 1)
    for _ in range(2):
        join(kitti_parts(tmp_path / "set"), tmp_path / "joined")
    lists = json.loads((tmp_path / "joined" / SEQUENCES).read_text())
    assert {name: len(stems) for name, stems in lists.items()} == {"train": 3, "val": 1}
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="was not joined by frcnn demo"):
        join(kitti_parts(tmp_path / "set"), tmp_path / "mine")


def test_more_images_for_validation_than_for_training_are_refused(tmp_path):
    part(tmp_path / "set/train", 2)
    part(tmp_path / "set/val", 2)
    with pytest.raises(UsageError, match="2 images for validation, but only 2 for training"):
        join(kitti_parts(tmp_path / "set"), tmp_path / "joined")
    assert not (tmp_path / "joined").exists()
