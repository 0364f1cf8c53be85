"""Labels as other tools write them: numbers as floats, other sizes, XML with CDATA or in UTF-16."""

import json

import pytest

import frcnn
from frcnn.errors import DataError, UsageError
from tests.support.kitti_folder import write_image

VOC = (
    "<annotation><size><width>{width}</width><height>100</height></size><object><name>{name}</name>"
    "<difficult> 1 </difficult><truncated>true</truncated><bndbox><xmin>11</xmin><ymin>21</ymin>"
    "<xmax>41</xmax><ymax>61</ymax></bndbox></object></annotation>"
)
BOMB = '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'


def voc(root, content):
    write_image(root / "JPEGImages/a.png", 100, 200)
    (root / "Annotations").mkdir()
    (root / "Annotations/a.xml").write_bytes(content)
    return root


def kitti_lines(folder):
    return (folder / "labels/a.txt").read_text().splitlines()


@pytest.mark.parametrize("number", ["1", "1.0", "1.000000000000000000e+00"])
def test_a_class_number_of_yolo_may_be_written_as_a_float(tmp_path, number):
    source = tmp_path / "yolo"
    write_image(source / "images/a.png", 100, 200)
    (source / "labels").mkdir()
    (source / "labels/a.txt").write_text(f"{number} 0.5 5.0e-01 0.25 0.5\n")
    (source / "data.yaml").write_text("names: [car, van]\n")
    assert frcnn.convert_labels(source, tmp_path / "kitti", "kitti").skipped == ()
    assert kitti_lines(tmp_path / "kitti") == ["van 0 0 0 75 25 125 75 0 0 0 0 0 0 0"]


def test_a_class_number_with_a_fraction_is_an_issue(tmp_path):
    source = tmp_path / "yolo"
    write_image(source / "images/a.png", 100, 200)
    (source / "labels").mkdir()
    (source / "labels/a.txt").write_text("0.5 0.5 0.5 0.25 0.5\n0 0.5 0.5 0.25 0.5\n")
    (source / "data.yaml").write_text("names: [car, van]\n")
    done = frcnn.convert_labels(source, tmp_path / "kitti", "kitti")
    assert done.skipped == ("1 x label value that is not a number (box)",)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["car", "<![CDATA[car]]>", "<!-- a -->car"])
def test_voc_in_any_encoding_with_cdata_and_comments(tmp_path, encoding, name):
    source = voc(tmp_path / "voc", VOC.format(width=200, name=name).encode(encoding))
    assert frcnn.convert_labels(source, tmp_path / "kitti", "kitti").skipped == ()
    assert kitti_lines(tmp_path / "kitti") == ["car 1 1 0 10 20 40 60 0 0 0 0 0 0 0"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_a_document_type_is_refused_in_every_encoding(tmp_path, encoding):
    with pytest.raises(DataError, match="1 x label file that cannot be read"):
        frcnn.convert_labels(voc(tmp_path / "voc", BOMB.encode(encoding)), tmp_path / "kitti", "kitti")


def test_a_voc_annotation_of_another_size_than_its_image_is_reported(tmp_path):
    source = voc(tmp_path / "voc", VOC.format(width=400, name="car").encode())
    done = frcnn.convert_labels(source, tmp_path / "kitti", "kitti")
    assert done.skipped == ("1 x image whose size differs from its entry (nothing)",)


def test_all_issues_of_a_coco_file_are_counted(tmp_path):
    write_image(tmp_path / "images/a.png", 100, 200)
    wrong = [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": box} for n, box in enumerate([None, [], [1, 2]])
    ]
    good = {"id": 9, "image_id": 1, "category_id": 1, "bbox": [1, 1, 20, 20]}
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [*wrong, good],
    }
    (tmp_path / "images/annotations.json").write_text(json.dumps(content))
    done = frcnn.convert_labels(tmp_path / "images/annotations.json", tmp_path / "kitti", "kitti")
    assert done.skipped == ("3 x box that is not four numbers (box)",)


def test_a_coco_file_without_a_usable_image_is_named_with_the_reason(tmp_path):
    write_image(tmp_path / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "/data/set/a.png"}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [],
    }
    (tmp_path / "labels.json").write_text(json.dumps(content))
    expected = r"labels.json: no image to use; found .*/data/set/a.png.*a file_name below the image folder"
    with pytest.raises(DataError, match=expected):
        frcnn.convert_labels(tmp_path / "labels.json", tmp_path / "kitti", "kitti")
    with pytest.raises(DataError, match=expected):
        frcnn.data_report(tmp_path)


@pytest.mark.parametrize("root", ["annotations", "image", "html"])
def test_xml_of_another_format_is_no_image_without_objects(tmp_path, root):
    content = VOC.format(width=200, name="car").replace("annotation>", f"{root}>")
    with pytest.raises(DataError, match="1 x label file that cannot be read"):
        frcnn.convert_labels(voc(tmp_path / "voc", content.encode()), tmp_path / "kitti", "kitti")


@pytest.mark.parametrize(("text", "value"), [("0.5", 1), ("2", 1), ("-1", 0), ("0.0", 0), ("Unspecified", 0)])
def test_marks_of_voc_may_be_levels_or_shares(tmp_path, text, value):
    content = VOC.format(width=200, name="car").replace(" 1 ", text).replace("true", text)
    frcnn.convert_labels(voc(tmp_path / "voc", content.encode()), tmp_path / "kitti", "kitti")
    assert kitti_lines(tmp_path / "kitti") == [f"car {value} {value} 0 10 20 40 60 0 0 0 0 0 0 0"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_yolo_may_end_as_on_any_system(tmp_path, end):
    source = yolo(tmp_path / "yolo", "a.txt", "")
    (source / "labels/a.txt").write_bytes(f"0 0.5 0.5 0.25 0.5{end}1 0.5 0.5 0.25 0.5{end}".encode())
    assert frcnn.convert_labels(source, tmp_path / "kitti", "kitti").objects == 2


def test_classes_that_differ_in_case_only_stay_apart(tmp_path):
    lines = "0 0.5 0.5 0.25 0.5\n1 0.5 0.5 0.25 0.5\n"
    source = yolo(tmp_path / "yolo", "a.txt", lines, "names: [Car, car]\n")
    frcnn.convert_labels(source, tmp_path / "again", "yolo")
    assert (tmp_path / "again/labels/a.txt").read_text() == lines


def test_labels_whose_image_is_in_another_format_are_named(tmp_path):
    source = tmp_path / "set"
    write_image(source / "images/a.png", 100, 200)
    (source / "images/b.bmp").write_bytes(b"BM")
    (source / "labels").mkdir()
    for stem in ("a", "b"):
        (source / f"labels/{stem}.txt").write_text("car 0 0 0 1 1 20 20 0 0 0 0 0 0 0\n")
    note = f"1 label file has no image of the same name and is not used, such as b.txt in {source}/labels"
    done = frcnn.convert_labels(source, tmp_path / "coco", "coco")
    assert any(loss.startswith(note) for loss in done.losses)
    report = frcnn.data_report(source, compare=0)
    assert [each.code for each in report.findings if each.text.startswith(note)] == ["left_out"]


def test_a_yolo_set_that_begins_with_many_images_without_objects_is_recognized(tmp_path):
    source = tmp_path / "yolo"
    for number in range(60):
        write_image(source / f"images/{number:03d}.png", 20, 20)
    (source / "labels").mkdir()
    for number in range(60):
        (source / f"labels/{number:03d}.txt").write_text("0 0.5 0.5 0.5 0.5\n" if number == 59 else "")
    (source / "data.yaml").write_text("names: [car]\n")
    done = frcnn.convert_labels(source, tmp_path / "kitti", "kitti")
    assert (done.objects, done.skipped) == (1, ())


@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_labels_without_an_image_are_named_for_every_format(tmp_path, kind):
    if kind == "voc":
        source = voc(tmp_path / "set", VOC.format(width=200, name="car").encode())
        lost = source / "Annotations/b.xml"
    else:
        source = tmp_path / "set"
        write_image(source / "images/a.png", 100, 200)
        (source / "labels").mkdir()
        (source / "labels/a.txt").write_text("0 0.5 0.5 0.25 0.5\n")
        (source / "labels/classes.txt").write_text("car\n")
        lost = source / "labels/b.txt"
    assert not any(
        "no image" in loss for loss in frcnn.convert_labels(source, tmp_path / "one", "coco").losses
    )
    lost.write_text("")
    losses = frcnn.convert_labels(source, tmp_path / "two", "coco").losses
    assert any(loss.startswith("1 label file has no image of the same name") for loss in losses)


def test_a_voc_annotation_in_a_namespace_is_read(tmp_path):
    content = VOC.format(width=200, name="car").replace("<annotation>", '<annotation xmlns="http://a/b">')
    done = frcnn.convert_labels(voc(tmp_path / "voc", content.encode()), tmp_path / "kitti", "kitti")
    assert (done.objects, done.skipped) == (1, ())


def yolo(root, name, text, names="names: [car, van]\n"):
    write_image(root / "images/a.png", 100, 200)
    (root / "labels").mkdir()
    (root / f"labels/{name}").write_text(text)
    (root / "data.yaml").write_text(names)
    return root


def test_label_files_may_have_extensions_in_upper_case(tmp_path):
    source = voc(tmp_path / "voc", VOC.format(width=200, name="car").encode())
    (source / "Annotations/a.xml").rename(source / "Annotations/a.XML")
    assert frcnn.convert_labels(source, tmp_path / "kitti", "kitti").objects == 1
    source = yolo(tmp_path / "yolo", "a.TXT", "1 0.5 0.5 0.25 0.5\n")
    assert frcnn.convert_labels(source, tmp_path / "coco", "coco").objects == 1
    (tmp_path / "coco/annotations.json").rename(tmp_path / "coco/annotations.JSON")
    assert frcnn.convert_labels(tmp_path / "coco", tmp_path / "back", "kitti").objects == 1


@pytest.mark.parametrize(
    "first", ["0 0.1 0.1 0.2 0.1 0.2 0.2", "0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2", "0 0.5 0.5 0.25 0.5 0.9"]
)
def test_a_yolo_set_of_outlines_or_scores_is_not_taken_for_kitti(tmp_path, first):
    source = yolo(tmp_path / "yolo", "a.txt", f"{first}\n")
    with pytest.raises(UsageError, match="has labels of YOLO; convert them first"):
        frcnn.data_report(source)


def test_class_names_that_are_no_yaml_are_named_in_one_sentence(tmp_path):
    source = yolo(tmp_path / "yolo", "a.txt", "0 0.5 0.5 0.25 0.5\n", "names:\n\t- car\n")
    with pytest.raises(DataError, match=r"not a data file of YOLO \(line 2: found character") as caught:
        frcnn.convert_labels(source, tmp_path / "kitti", "kitti")
    assert "\n" not in str(caught.value)
