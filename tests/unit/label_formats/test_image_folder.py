"""`frcnn data labels --images`: labels of Pascal VOC and YOLO whose images are in another folder."""

import shutil
from pathlib import Path

import pytest

import frcnn
from frcnn.errors import DataError, UsageError
from tests.support.kitti_folder import CAR, PEDESTRIAN, write_kitti

LABELS = {"voc": ("Annotations", "JPEGImages"), "yolo": ("labels", "images")}
RACCOON = Path(__file__).parents[4] / "shared/data/raccoon"


@pytest.fixture(params=["voc", "yolo"])
def apart(request, tmp_path):
    """A folder with nothing but labels, its images in a sibling folder, and the KITTI labels of both."""
    kitti = write_kitti(tmp_path / "kitti", {"000": [CAR], "001": [PEDESTRIAN, CAR]})
    frcnn.convert_labels(kitti, tmp_path / "whole", request.param, copy_images=True)
    labels, images = LABELS[request.param]
    root = tmp_path / "apart"
    root.mkdir()
    shutil.move(tmp_path / "whole" / labels, root / "annotated")
    shutil.move(tmp_path / "whole" / images, root / "pictures")
    if request.param == "yolo":
        shutil.move(tmp_path / "whole/data.yaml", root / "data.yaml")
    return request.param, root


def boxes(folder):
    return {
        path.name: [line.split()[0:1] + line.split()[4:8] for line in path.read_text().splitlines()]
        for path in sorted((folder / "labels").iterdir())
    }


def test_labels_in_one_folder_and_images_in_another(apart, tmp_path):
    kind, root = apart
    done = frcnn.convert_labels(root / "annotated", tmp_path / "out", "kitti", images=root / "pictures")
    assert (done.images, done.objects) == (2, 3)
    frcnn.convert_labels(tmp_path / "kitti", tmp_path / "there", kind)
    frcnn.convert_labels(tmp_path / "there", tmp_path / "back", "kitti")
    assert boxes(tmp_path / "out") == boxes(tmp_path / "back")
    assert all(path.is_file() for path in (tmp_path / "out/images").iterdir())


def test_each_part_has_its_images_below_the_given_folder(apart, tmp_path):
    kind, root = apart
    for part in ("train", "val"):
        labels = root / "parts" / (f"labels/{part}" if kind == "yolo" else part)
        shutil.copytree(root / "annotated", labels)
    if kind == "yolo":
        shutil.copy(root / "data.yaml", root / "parts")
    for part in ("train", "val"):
        with pytest.raises(UsageError, match=f"no folder {part}/ for that part"):
            frcnn.convert_labels(
                root / "parts", tmp_path / "out", "kitti", source_format=kind, images=root / "pictures"
            )
        shutil.copytree(root / "pictures", root / "pictures" / part, ignore=lambda *_: ("train", "val"))
    done = frcnn.convert_labels(root / "parts", tmp_path / "out", "kitti", images=root / "pictures")
    assert (done.images, done.objects) == (4, 6)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["train", "val"]


def test_images_of_another_data_set_are_refused(apart, tmp_path):
    _, root = apart
    other = write_kitti(tmp_path / "other", {"900": [CAR]}) / "image_2"
    with pytest.raises(DataError, match=r"none of its 1 images has a label file|no usable image to convert"):
        frcnn.convert_labels(root / "annotated", tmp_path / "out", "kitti", images=other)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no images for the XML|none of its 0 images"):
        frcnn.convert_labels(root / "annotated", tmp_path / "out", "kitti", images=tmp_path / "empty")
    with pytest.raises(UsageError, match=r"--images .*missing: no such folder"):
        frcnn.convert_labels(root / "annotated", tmp_path / "out", "kitti", images=tmp_path / "missing")


def test_without_the_folder_the_message_names_the_flag(apart, tmp_path):
    kind, root = apart
    with pytest.raises(DataError, match=r"--images"):
        frcnn.convert_labels(root / "annotated", tmp_path / "out", "kitti", source_format=kind)


def test_kitti_layout_refuses_an_image_folder_that_it_would_not_read(tmp_path):
    kitti = write_kitti(tmp_path / "kitti", {"000": [CAR]})
    with pytest.raises(UsageError, match="KITTI layout have their images in images/"):
        frcnn.convert_labels(kitti, tmp_path / "out", "coco", images=tmp_path)
    for number, own in enumerate((kitti, kitti / "image_2")):
        assert frcnn.convert_labels(kitti, tmp_path / f"{number}", "coco", images=own).images == 1


@pytest.mark.skipif(not RACCOON.is_dir(), reason="the raccoon data set is not here")
def test_raccoons_of_pascal_voc(tmp_path):
    done = frcnn.convert_labels(RACCOON / "voc", tmp_path / "out", "kitti", images=RACCOON / "images")
    xmls = list((RACCOON / "voc").glob("*.xml"))
    objects = sum(path.read_text().count("<object>") for path in xmls)
    assert (done.images, done.objects) == (len(xmls), objects)
