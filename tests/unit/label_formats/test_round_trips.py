"""Labels in each format against files written by hand and pycocotools, and round trips."""

import json
import os
import shutil

import pytest
import yaml
from PIL import Image

import frcnn
from frcnn.errors import DataError, UsageError
from tests.support.kitti_folder import write_image

VOC = """\
<annotation>
  <folder>JPEGImages</folder>
  <filename>a.png</filename>
  <size>
    <width>200</width>
    <height>100</height>
    <depth>3</depth>
  </size>
  <segmented>0</segmented>
  <object>
    <name>Car</name>
    <pose>Unspecified</pose>
    <truncated>1</truncated>
    <difficult>1</difficult>
    <bndbox>
      <xmin>11.25</xmin>
      <ymin>21</ymin>
      <xmax>41</xmax>
      <ymax>61.5</ymax>
    </bndbox>
  </object>
</annotation>
"""
CAR = "Car 0.5 1 -1.57 10.25 20 40 60.5 1.5 1.6 3.9 -2 1.5 12 0.25"
VAN = "Van 0 0 0 0 0 199 99 0 0 0 0 0 0 0"
DONT_CARE = "DontCare -1 -1 -10 1 1 9 9 -1 -1 -1 -1000 -1000 -1000 -10"


@pytest.fixture
def kitti(tmp_path):
    return kitti_set(tmp_path / "kitti", {"a": [CAR], "b": [VAN, CAR], "empty": []})


def kitti_set(root, labels):
    (root / "labels").mkdir(parents=True)
    for stem, lines in labels.items():
        write_image(root / "images" / f"{stem}.png", 100, 200)
        (root / "labels" / f"{stem}.txt").write_text("".join(f"{line}\n" for line in lines))
    return root


def size_of(path):
    with Image.open(path) as image:
        return image.size


def kitti_files(folder):
    return {path.name: path.read_text() for path in (folder / "labels").glob("*.txt")}


def test_voc_counts_pixels_from_one(kitti, tmp_path):
    frcnn.convert_labels(kitti, tmp_path / "voc", "voc")
    assert (tmp_path / "voc/Annotations/a.xml").read_text() == VOC
    assert sorted(path.name for path in (tmp_path / "voc/JPEGImages").iterdir()) == [
        "a.png",
        "b.png",
        "empty.png",
    ]


def test_yolo_has_center_and_sides_as_shares(kitti, tmp_path):
    frcnn.convert_labels(kitti, tmp_path / "yolo", "yolo")
    # (10.25 + 40) / 2 / 200, (20 + 60.5) / 2 / 100, (40 - 10.25) / 200, (60.5 - 20) / 100
    assert (tmp_path / "yolo/labels/a.txt").read_text() == "0 0.125625 0.4025 0.14875 0.405\n"
    assert (tmp_path / "yolo/labels/empty.txt").read_text() == ""
    text = (tmp_path / "yolo/data.yaml").read_text()
    assert 'names:\n  0: "Car"\n  1: "Van"\n' in text
    assert text.startswith(
        "# train and val are the same images, those of this folder; to validate, set val to"
    )
    content = {"path": ".", "train": "images", "val": "images", "names": {0: "Car", 1: "Van"}}
    assert yaml.safe_load(text) == content


def test_coco_is_read_by_pycocotools(kitti, tmp_path, capsys):
    coco_tools = pytest.importorskip("pycocotools.coco")
    frcnn.convert_labels(kitti, tmp_path / "coco", "coco")
    found = coco_tools.COCO(str(tmp_path / "coco/annotations.json"))
    names = {each["id"]: each["name"] for each in found.loadCats(found.getCatIds())}
    files = {each["id"]: (each["file_name"], each["width"], each["height"]) for each in found.imgs.values()}
    boxes = [
        (files[each["image_id"]][0], names[each["category_id"]], each["bbox"], each["area"])
        for each in found.loadAnns(found.getAnnIds())
    ]
    assert files == {n: (f"{name}.png", 200, 100) for n, name in enumerate(("a", "b", "empty"), 1)}
    assert boxes == [
        ("a.png", "Car", [10.25, 20.0, 29.75, 40.5], 1204.875),
        ("b.png", "Van", [0.0, 0.0, 199.0, 99.0], 19701.0),
        ("b.png", "Car", [10.25, 20.0, 29.75, 40.5], 1204.875),
    ]


@pytest.mark.parametrize("way", ["kitti", "coco", "voc", "yolo"])
def test_what_both_formats_hold_comes_back_equal(tmp_path, way):
    plain = kitti_set(tmp_path / "kitti", {"a": [VAN, VAN.replace("199", "33.3333")], "b": [VAN], "c": []})
    frcnn.convert_labels(plain, tmp_path / way / "set", way)
    back = frcnn.convert_labels(tmp_path / way / "set", tmp_path / "back", "kitti")
    assert kitti_files(tmp_path / "back") == kitti_files(plain)
    assert (back.images, back.objects) == (3, 3)
    assert size_of(tmp_path / "back/images/a.png") == (200, 100)


@pytest.mark.parametrize("first", ["coco", "voc", "yolo"])
@pytest.mark.parametrize("second", ["coco", "voc", "yolo"])
def test_any_format_leads_to_any_other(kitti, tmp_path, first, second):
    frcnn.convert_labels(kitti, tmp_path / "one", first)
    frcnn.convert_labels(tmp_path / "one", tmp_path / "two", second)
    done = frcnn.convert_labels(tmp_path / "two", tmp_path / "three", "kitti")
    assert (done.images, done.objects, done.skipped) == (3, 3, ())
    boxes = [line.split()[4:8] for line in kitti_files(tmp_path / "three")["b.txt"].splitlines()]
    assert boxes == [["0", "0", "199", "99"], ["10.25", "20", "40", "60.5"]]


def test_losses_are_named_with_their_numbers(tmp_path):
    root = kitti_set(tmp_path / "kitti", {"a": [CAR, DONT_CARE, VAN.replace(" 199 ", " 260 ")]})
    to = {name: frcnn.convert_labels(root, tmp_path / name, name) for name in ("coco", "voc", "yolo")}
    own = ("1 object: observation angle", "1 object: 3D box")
    assert set(to["coco"].losses) == {
        "1 DontCare region",
        "1 object: truncation",
        "1 object: occlusion",
        *own,
    }
    assert set(to["voc"].losses) == {
        "1 DontCare region",
        "1 object: the share of truncation becomes yes or no",
        *own,
    }
    assert set(to["yolo"].losses) == {*to["coco"].losses, "1 object: the part outside the image"}
    assert frcnn.convert_labels(root, tmp_path / "again", "kitti").losses == ()
    assert kitti_files(tmp_path / "again")["a.txt"].splitlines()[1] == DONT_CARE.replace(
        "DontCare", "DontCare"
    )


def test_a_name_with_a_space_loses_it_in_kitti(tmp_path):
    root = kitti_set(tmp_path / "kitti", {"a": [VAN]})
    frcnn.convert_labels(root, tmp_path / "coco", "coco")
    path = tmp_path / "coco/annotations.json"
    path.write_text(path.read_text().replace('"Van"', '"Traffic light"'))
    done = frcnn.convert_labels(tmp_path / "coco", tmp_path / "back", "kitti")
    assert kitti_files(tmp_path / "back")["a.txt"].startswith("Trafficlight 0 0 ")
    assert done.losses[0] == "1 object: spaces in the class name, which KITTI cannot hold"


def test_bad_labels_are_skipped_and_counted(kitti, tmp_path):
    frcnn.convert_labels(kitti, tmp_path / "yolo", "yolo")
    path = tmp_path / "yolo/labels/a.txt"
    path.write_text(
        "0 0.5 0.5 0.2 0.2\n7 0.5 0.5 0.2 0.2\n0 x 0 0 0\n0 0.1 0.1 0.2 0.2 0.3 0.3\n0 3 3 .1 .1\n"
    )
    done = frcnn.convert_labels(tmp_path / "yolo", tmp_path / "voc", "voc")
    assert done.objects == 1 + 2
    assert sorted(done.skipped) == [
        "1 x annotation of an unknown category (box)",
        "1 x box outside the image (box)",
        "1 x box that is not four numbers (box)",
        "1 x label value that is not a number (box)",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE a [<!ENTITY b 'c'>]><annotation/>",
        "not XML",
        "",
        "<?xml version='1.0' encoding='none'?><a/>",
    ],
)
def test_xml_that_is_not_plain_costs_its_image(kitti, tmp_path, text):
    frcnn.convert_labels(kitti, tmp_path / "voc", "voc")
    (tmp_path / "voc/Annotations/a.xml").write_text(text)
    done = frcnn.convert_labels(tmp_path / "voc", tmp_path / "back", "kitti")
    assert (done.images, done.skipped) == (2, ("1 x label file that cannot be read (image)",))


def test_parts_become_folders_and_images_are_linked_or_copied(tmp_path):
    for part in ("train", "val"):
        kitti_set(tmp_path / "kitti" / part, {f"{part}0": [VAN]})
    frcnn.convert_labels(tmp_path / "kitti", tmp_path / "linked", "yolo")
    frcnn.convert_labels(tmp_path / "kitti", tmp_path / "copied", "coco", copy_images=True)
    shutil.move(tmp_path / "linked", tmp_path / "copied.moved")  # not deeper: links are relative
    assert (tmp_path / "copied.moved/train/images/train0.png").is_symlink()
    assert (tmp_path / "copied.moved/val/images/val0.png").resolve() == (
        tmp_path / "kitti/val/images/val0.png"
    ).resolve()
    shutil.rmtree(tmp_path / "kitti")
    assert size_of(tmp_path / "copied/val/images/val0.png") == (200, 100)
    assert json.loads((tmp_path / "copied/train/annotations.json").read_text())["images"][0]["width"] == 200


def test_parts_of_yolo_may_be_below_one_folder_of_images(tmp_path):
    for part, label in (("train", "0 0.5 0.5 0.25 0.5\n"), ("val", "1 0.5 0.5 0.5 0.5\n")):
        write_image(tmp_path / "yolo/images" / part / f"{part}0.png", 100, 200)
        (tmp_path / "yolo/labels" / part).mkdir(parents=True)
        (tmp_path / "yolo/labels" / part / f"{part}0.txt").write_text(label)
    (tmp_path / "yolo/data.yaml").write_text("path: .\nnames: [car, van]\n")
    frcnn.convert_labels(tmp_path / "yolo", tmp_path / "kitti", "kitti")
    car = (tmp_path / "kitti/train/labels/train0.txt").read_text()
    van = (tmp_path / "kitti/val/labels/val0.txt").read_text()
    assert car.startswith("car 0 0 0 75 25 125 75 ") and van.startswith("van 0 0 0 50 25 150 75 ")
    assert size_of(tmp_path / "kitti/val/images/val0.png") == (200, 100)


def test_the_lists_of_voc_become_folders_and_the_other_images_too(kitti, tmp_path):
    frcnn.convert_labels(kitti, tmp_path / "voc", "voc")
    lists = tmp_path / "voc/ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n")
    (lists / "val.txt").write_text("b\n")
    (lists / "Car_train.txt").write_text("a 1\nb -1\n")
    frcnn.convert_labels(tmp_path / "voc", tmp_path / "back", "kitti")
    found = sorted(
        str(path.relative_to(tmp_path / "back")) for path in (tmp_path / "back").glob("*/labels/*")
    )
    assert found == ["in_no_list/labels/empty.txt", "train/labels/a.txt", "val/labels/b.txt"]


def test_records_with_images_give_labels_too(kitti, tmp_path):
    config = frcnn.spec.KITTIConfig(
        root_directory_path=str(kitti), image_dir_name="images", label_dir_name="labels",
        image_extension=".png",
    )  # fmt: skip
    frcnn.convert(frcnn.ConvertSpec(kitti_config=config), tmp_path / "records/set", embed_images=True)
    done = frcnn.convert_labels(tmp_path / "records/set*", tmp_path / "voc", "voc")
    assert (done.images, done.objects) == (3, 3)
    assert size_of(tmp_path / "voc/JPEGImages/b.png") == (200, 100)


def test_nothing_of_the_users_is_overwritten(kitti, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists and is not empty; choose another folder"):
        frcnn.convert_labels(kitti, tmp_path / "mine", "coco")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_without_a_usable_image_nothing_is_written(tmp_path):
    root = kitti_set(tmp_path / "kitti", {"a": [VAN]})
    (root / "images/a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="no usable image to convert"):
        frcnn.convert_labels(root, tmp_path / "coco", "coco")
    assert not (tmp_path / "coco").exists()


def test_yolo_without_class_names_is_an_error_that_says_where_they_belong(kitti, tmp_path):
    frcnn.convert_labels(kitti, tmp_path / "set/yolo", "yolo")
    (tmp_path / "set/yolo/data.yaml").unlink()
    with pytest.raises(DataError, match=r"no class names; expected data.yaml, .* --classes"):
        frcnn.convert_labels(tmp_path / "set/yolo", tmp_path / "back", "kitti")
    names = tmp_path / "names.txt"
    names.write_text("Car\nVan\n")
    done = frcnn.convert_labels(tmp_path / "set/yolo", tmp_path / "back", "kitti", classes=names)
    assert done.objects == 3


STRANGE = ["a: b", "# x", "no", "null", "1.0", "'q", "- y", '"<b>&</b>"', "caf\xe9", "\U0001f600", "x" * 190]


@pytest.mark.parametrize("way", ["coco", "voc", "yolo"])
def test_class_names_that_mean_something_to_a_format_come_back(kitti, tmp_path, way):
    frcnn.convert_labels(kitti, tmp_path / "coco", "coco")
    path = tmp_path / "coco/annotations.json"
    content = json.loads(path.read_text())
    content["categories"] = [{"id": number, "name": name} for number, name in enumerate(STRANGE)]
    content["annotations"] = [
        {"id": number, "image_id": 1, "category_id": number, "bbox": [1, 2, 30, 40], "iscrowd": 0}
        for number in range(len(STRANGE))
    ]
    path.write_text(json.dumps(content))
    frcnn.convert_labels(tmp_path / "coco", tmp_path / "there", way)
    frcnn.convert_labels(tmp_path / "there", tmp_path / "back", "coco")
    back = json.loads((tmp_path / "back/annotations.json").read_text(encoding="utf-8"))
    names = {each["id"]: each["name"] for each in back["categories"]}
    assert [names[each["category_id"]] for each in back["annotations"]] == STRANGE


def test_control_characters_of_a_class_name_are_escaped_in_voc_and_named_as_lost(tmp_path):
    root = kitti_set(tmp_path / "kitti", {"a": [VAN.replace("Van", "\x1b[31mVan")]})
    done = frcnn.convert_labels(root, tmp_path / "voc", "voc")
    assert done.losses == ("1 object: control characters in the class name, which XML cannot hold",)
    assert frcnn.convert_labels(tmp_path / "voc", tmp_path / "back", "kitti").objects == 1
    assert kitti_files(tmp_path / "back")["a.txt"].startswith("\\x1b[31mVan 0 0 ")


@pytest.mark.parametrize("way", ["kitti", "coco", "voc", "yolo"])
def test_an_image_whose_name_is_no_text_gets_an_escaped_one(tmp_path, way):
    root = kitti_set(tmp_path / "kitti", {"a": [VAN]})
    for path in (root / "images/a.png", root / "labels/a.txt"):
        path.rename(path.with_stem(os.fsdecode(b"\xff")))
    frcnn.convert_labels(root, tmp_path / "there", way)
    assert frcnn.convert_labels(tmp_path / "there", tmp_path / "back", "kitti").objects == 1
    assert size_of(tmp_path / "back/images" / "\\xff.png") == (200, 100)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("data.yaml", "names: {a: 1, 0: x}", "names has the numbers a, 0; expected 0, 1, 2"),
        ("data.yaml", "names: [2001-99-99, [car]]", "no list of class names; expected names: .car, van."),
        ("data.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]", "no list of class names"),
        ("data.yaml", "names: &n [*n]", "not a data file of YOLO"),
        ("data.yaml", "names: 5", "no list of class names"),
        ("data.yaml", "- car", "no list of class names"),
        ("data.yaml", "names: [car, , van]", "not a data file of YOLO"),
        ("data.yaml", "names: [car, '', van]", "class 1 has no name; expected a name for each number"),
        ("classes.txt", "car\n\nvan\n", "class 1 has no name; expected a name for each number"),
        ("classes.txt", "\n", "no class names; expected one per line"),
    ],
)
def test_class_names_that_cannot_be_numbered_are_an_error(kitti, tmp_path, file, text, message):
    frcnn.convert_labels(kitti, tmp_path / "yolo", "yolo")
    (tmp_path / "yolo/data.yaml").unlink()
    (tmp_path / "yolo" / file).write_text(text)
    with pytest.raises(DataError, match=message):
        frcnn.convert_labels(tmp_path / "yolo", tmp_path / "back", "kitti")
    assert not (tmp_path / "back").exists()


YOLO_FIRST_LINES = {
    "broken": "0 0.5 0.5 0.2\n",
    "blank": "\n",
    "an outline": "0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n",
}


@pytest.mark.parametrize("first", YOLO_FIRST_LINES.values(), ids=YOLO_FIRST_LINES.keys())
def test_yolo_is_recognized_by_its_first_usable_line(tmp_path, first):
    source = kitti_set(tmp_path / "yolo", {"a": [], "b": []})
    (source / "labels/a.txt").write_text(f"{first}0 0.5 0.5 0.2 0.4\n")
    (source / "labels/b.txt").write_text("0 0.5 0.5 0.2 0.4\n")
    (source / "data.yaml").write_text("names: [car]")
    assert frcnn.convert_labels(source, tmp_path / "out", "kitti").objects == 2


@pytest.mark.parametrize("made", [True, False], ids=["empty folder", "leads nowhere"])
def test_a_target_that_is_a_link_is_followed(kitti, tmp_path, made):
    if made:
        (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    frcnn.convert_labels(kitti, tmp_path / "link", "kitti")
    assert (tmp_path / "link").is_symlink()
    assert kitti_files(tmp_path / "real") == kitti_files(kitti)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: path.write_bytes(b"caf\xe9"), "not UTF-8 text, at byte 3"),
        (os.mkfifo, "a named pipe, not a regular file"),
        (lambda path: path.mkdir(), "a folder, not a regular file"),
        (lambda path: None, "No such file or directory"),
    ],
)
def test_a_file_of_class_names_that_cannot_be_read_is_named_without_internals(tmp_path, write, reason):
    source = kitti_set(tmp_path / "yolo", {"a": []})
    (source / "labels/a.txt").write_text("0 0.5 0.5 0.2 0.4\n")
    names = tmp_path / "names.txt"
    write(names)
    with pytest.raises(DataError) as caught:
        frcnn.convert_labels(source, tmp_path / "out", "kitti", classes=names)
    assert str(caught.value) == f"{names}: cannot be read as class names ({reason})"
