"""Data sets in the layouts in which other tools write them: LabelImg, CVAT, Ultralytics, COCO's own."""

import json

import pytest

import frcnn
from frcnn.errors import DataError, UsageError
from tests.support.kitti_folder import write_image

BOX = "0 0.5 0.5 0.25 0.5\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def parts(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.txt"))


@pytest.mark.parametrize("names", ["classes.txt", "../obj.names"], ids=["LabelImg", "CVAT"])
def test_labels_of_yolo_may_be_next_to_their_images(tmp_path, names):
    source = tmp_path / "set/obj_train_data"
    write_image(source / "a.jpg")
    write(source / "a.txt", BOX)
    write(source / names, "car\n")
    done = frcnn.convert_labels(source, tmp_path / "kitti", "kitti")
    assert (done.objects, done.skipped) == (1, ())
    with pytest.raises(UsageError, match="has labels of YOLO; convert them first"):
        frcnn.data_report(source)


def test_the_folder_of_an_export_of_cvat_is_a_data_set(tmp_path):
    write_image(tmp_path / "set/obj_train_data/a.jpg")
    write(tmp_path / "set/obj_train_data/a.txt", BOX)
    write(tmp_path / "set/obj.names", "car\n")
    write(tmp_path / "set/train.txt", "data/obj_train_data/a.jpg\n")
    assert frcnn.convert_labels(tmp_path / "set", tmp_path / "kitti", "kitti").objects == 1


def test_parts_of_yolo_may_have_a_year_in_their_name(tmp_path):
    for part, stem in (("train2017", "a"), ("val2017", "b")):
        write_image(tmp_path / f"set/images/{part}/{stem}.jpg")
        write(tmp_path / f"set/labels/{part}/{stem}.txt", BOX)
    write(tmp_path / "set/data.yaml", "names: [car]\n")
    frcnn.convert_labels(tmp_path / "set", tmp_path / "kitti", "kitti")
    assert parts(tmp_path / "kitti") == ["train2017/labels/a.txt", "val2017/labels/b.txt"]


def coco(stem, **more):
    image = {"id": 1, "file_name": f"{stem}.png"}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 20, 20]}
    return json.dumps(
        {"images": [image], "categories": [{"id": 1, "name": "car"}], "annotations": [box], **more}
    )


def test_files_of_the_other_tasks_of_coco_are_left_out(tmp_path):
    source = tmp_path / "coco"
    for part, stem in (("train2017", "a"), ("val2017", "b")):
        write_image(source / f"{part}/{stem}.png")
        write(source / f"annotations/instances_{part}.json", coco(stem))
        write(source / f"annotations/person_keypoints_{part}.json", coco(stem))
        write(source / f"annotations/captions_{part}.json", coco(stem, categories=[]))
    folds = frcnn.data_report(source, compare=0).content["folds"]
    assert [(fold["name"], fold["images"]) for fold in folds] == [("train2017", 1), ("val2017", 1)]


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("a.jpg", "a.JPG"),
        ("\u00e9.png", "e\u0301.png"),
        ("part\\a.png", "part/a.png"),
        ("b\\a.jpg", "b/a.JPG"),
    ],
)
def test_images_that_coco_spells_differently_are_linked_and_copied(tmp_path, written, file, copy):
    source = tmp_path / "set"
    write_image(source / file)
    content = json.loads(coco("a"))
    content["images"][0]["file_name"] = written
    write(source / "labels.json", json.dumps(content))
    done = frcnn.convert_labels(source, tmp_path / "kitti", "kitti", copy_images=copy)
    (image,) = (tmp_path / "kitti/images").iterdir()
    assert (done.objects, image.read_bytes()) == (1, (source / file).read_bytes())


def test_backslashes_lead_to_no_file_outside_of_the_images(tmp_path):
    write_image(tmp_path / "private.png")
    write_image(tmp_path / "set/b.png")
    content = json.loads(coco("b"))
    content["images"].append({"id": 2, "file_name": "..\\private.png"})
    write(tmp_path / "set/labels.json", json.dumps(content))
    done = frcnn.convert_labels(tmp_path / "set", tmp_path / "kitti", "kitti")
    assert done.skipped == ("1 x image that is missing (image)",)


def test_keypoints_alone_are_a_data_set(tmp_path):
    write_image(tmp_path / "a.png")
    write(tmp_path / "person_keypoints_val2017.json", coco("a"))
    assert frcnn.data_report(tmp_path, compare=0).images == 1


def test_an_issue_is_named_with_its_file_and_line(tmp_path, caplog):
    source = tmp_path / "set"
    write_image(source / "images/a.png")
    write(source / "labels/a.txt", "car 0 0 0 1,5 1 20 20 0 0 0 0 0 0 0\n")
    frcnn.convert_labels(source, tmp_path / "coco", "coco")
    assert f"{source}/labels/a.txt:1: label value that is not a number: 1,5 is not a number" in caplog.text
    (source / "labels/a.txt").write_bytes("car".encode("utf-16"))
    with pytest.raises(DataError, match=r"no usable image .*such as .*a\.txt: .*not UTF-8 text"):
        frcnn.convert_labels(source, tmp_path / "voc", "voc")


@pytest.mark.parametrize("flat", [True, False])
def test_lists_of_yolo_are_its_parts(tmp_path, flat):
    source = tmp_path / "set"
    for stem in "abc":
        write_image(source / ("" if flat else "images") / f"{stem}.jpg")
        write(source / ("" if flat else "labels") / f"{stem}.txt", BOX)
    write(source / "classes.txt", "car\n")
    write(source / "train.txt", "./images/a.jpg\n./images/c.jpg\n")
    write(source / "val.txt", "./images/b.jpg\n")
    done = frcnn.convert_labels(source, tmp_path / "kitti", "kitti")
    assert parts(tmp_path / "kitti") == ["train/labels/a.txt", "train/labels/c.txt", "val/labels/b.txt"]
    assert (done.losses, done.skipped) == ((), ())


@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_a_label_file_belongs_to_one_image(tmp_path, kind):
    for name in ("a.jpg", "a.png", "b.jpg"):
        write_image(tmp_path / "kitti/images" / name)
    for stem in "ab":
        write(tmp_path / f"kitti/labels/{stem}.txt", "car 0 0 0 1 1 20 20 0 0 0 0 0 0 0\n")
    frcnn.convert_labels(tmp_path / "kitti", tmp_path / "set", kind)
    write_image(tmp_path / f"set/{'JPEGImages' if kind == 'voc' else 'images'}/a.png")
    done = frcnn.convert_labels(tmp_path / "set", tmp_path / "back", "kitti")
    assert (done.objects, done.skipped) == (2, ("1 x image listed twice (image)",))
    assert not (tmp_path / "back/images/a.png").exists()


@pytest.mark.parametrize("kind", ["kitti", "coco", "voc", "yolo"])
def test_folders_that_are_no_parts_are_named(tmp_path, kind):
    for part in ("train", "val", "extra"):
        write_image(tmp_path / f"kitti/{part}/images/{part}.png")
        write(tmp_path / f"kitti/{part}/labels/{part}.txt", "car 0 0 0 1 1 20 20 0 0 0 0 0 0 0\n")
        frcnn.convert_labels(tmp_path / f"kitti/{part}", tmp_path / f"set/{part}", kind)
    done = frcnn.convert_labels(tmp_path / "set", tmp_path / "again", "kitti")
    note = (
        f"extra in {tmp_path}/set has labels and is not used; "
        "folders of parts have names such as train_2 and val"
    )
    assert (done.images, note in done.losses) == (2, True)
    if kind in ("kitti", "coco"):
        findings = frcnn.data_report(tmp_path / "set", compare=0).findings
        assert f"{note}." in [each.text for each in findings if each.code == "left_out"]


def test_parts_beside_the_images_of_a_set_are_named(tmp_path):
    for folder in ("set", "set/train"):
        write_image(tmp_path / folder / "images/a.png")
        write(tmp_path / folder / "labels/a.txt", "car 0 0 0 1 1 20 20 0 0 0 0 0 0 0\n")
    losses = frcnn.convert_labels(tmp_path / "set", tmp_path / "coco", "coco").losses
    assert [loss.startswith(f"train in {tmp_path}/set has labels and is not used") for loss in losses] == [
        True
    ]


def test_a_part_of_yolo_without_a_label_folder_is_named(tmp_path):
    for part in ("train", "test"):
        write_image(tmp_path / f"set/images/{part}/a.png")
    write(tmp_path / "set/labels/train/a.txt", BOX)
    write(tmp_path / "set/data.yaml", "names: [car]\n")
    losses = frcnn.convert_labels(tmp_path / "set", tmp_path / "coco", "coco").losses
    assert losses == (f"there is no folder {tmp_path}/set/labels/test: its images have no objects",)
