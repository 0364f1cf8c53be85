"""Data sets that are split into folders already."""

import json
from pathlib import Path

import pytest
from PIL import Image

from frcnn.data.conversion.convert import make_plan
from frcnn.demo.specs import convert_spec
from frcnn.demo.split_folders import SEQUENCES, join, parts_of
from frcnn.errors import UsageError
from frcnn.settings.conversion import conversion_settings
from frcnn.spec import load_dataset_export


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
    join(parts_of(tmp_path / "set"), tmp_path / "joined")
    spec = tmp_path / "convert.txt"
    spec.write_text(convert_spec(tmp_path / "joined", "images", "labels", ".png", sequences=SEQUENCES))
    plan = make_plan(conversion_settings(load_dataset_export(spec)))
    records = [[plan.reader.read(job).record for job in fold] for fold in plan.folds]
    assert [sorted(record.file for record in fold) for fold in records] == [
        [f"images/val_{number}.png" for number in range(2)],
        [f"images/train_{number}.png" for number in range(5)],
    ]
    assert all(len(record.labels) == 1 for fold in records for record in fold)


@pytest.mark.parametrize("names", [["train"], ["val", "test"], ["a", "b"]])
def test_other_folders_are_no_split_set(tmp_path, names):
    for name in names:
        part(tmp_path / name, 1)
    assert parts_of(tmp_path) == {}


def test_folders_without_images_and_labels_are_no_split_set(tmp_path):
    part(tmp_path / "train", 1)
    (tmp_path / "val").mkdir()
    assert parts_of(tmp_path) == {}


def test_a_joined_folder_is_replaced_and_nothing_else(tmp_path):
    part(tmp_path / "set/train", 3)
    part(tmp_path / "set/val", 1)
    for _ in range(2):
        join(parts_of(tmp_path / "set"), tmp_path / "joined")
    lists = json.loads((tmp_path / "joined" / SEQUENCES).read_text())
    assert {name: len(stems) for name, stems in lists.items()} == {"train": 3, "val": 1}
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="was not joined by frcnn demo"):
        join(parts_of(tmp_path / "set"), tmp_path / "mine")


def test_more_images_for_validation_than_for_training_are_refused(tmp_path):
    part(tmp_path / "set/train", 2)
    part(tmp_path / "set/val", 2)
    with pytest.raises(UsageError, match="2 images for validation, but only 2 for training"):
        join(parts_of(tmp_path / "set"), tmp_path / "joined")
    assert not (tmp_path / "joined").exists()
