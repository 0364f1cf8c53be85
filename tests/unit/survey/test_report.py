"""Counts against those of dataset_convert, and findings against planted faults."""

import json
import shutil

import pytest

import frcnn
from frcnn.errors import UsageError
from frcnn.spec.schema.export import KITTIConfig
from tests.support import planted_faults
from tests.support.kitti_folder import CAR, DONT_CARE, PEDESTRIAN, write_image, write_kitti
from tests.support.large_images import large_png
from tests.support.loading import image_record, write_records

WRONG_ANCHORS = """
model_config {
  input_image_config {
    image_type: RGB size_height_width { height: 240 width: 320 } image_channel_order: "rgb"
    image_channel_mean { key: "r" value: 1 } image_channel_mean { key: "g" value: 1 }
    image_channel_mean { key: "b" value: 1 } image_scaling_factor: 1.0
  }
  arch: "resnet:10"
  anchor_box_config { scale: 300.0 scale: 400.0 ratio: 4.0 ratio: 0.25 }
  roi_mini_batch: 16 rpn_stride: 16
  roi_pooling_config { pool_size: 7 }
}
dataset_config {
  data_sources { tfrecords_path: "none" image_directory_path: "none" }
  image_extension: "jpg"
  target_class_mapping { key: "Circle" value: "circle" }
  target_class_mapping { key: "square" value: "square" }
  target_class_mapping { key: "star" value: "star" }
}
augmentation_config { preprocessing { enable_auto_resize: true } }
training_config {
  enable_augmentation: false batch_size_per_gpu: 1 num_epochs: 1
  rpn_min_overlap: 0.3 rpn_max_overlap: 0.7 classifier_min_overlap: 0.0 classifier_max_overlap: 0.5
  optimizer { adam { } }
  learning_rate { soft_start { base_lr: 1e-4 start_lr: 1e-5 soft_start: 0.1 annealing_points: 0.8 annealing_divider: 10 } }
}
"""  # noqa: E501


def codes(report):
    return sorted(each.code for each in report.findings)


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.txt"
    path.write_text(WRONG_ANCHORS)
    return path


def test_a_clean_set_gives_no_finding(drawn):
    report = frcnn.data_report(drawn)
    assert report.findings == ()
    assert report.images == planted_faults.TRAIN + planted_faults.VAL


@pytest.mark.parametrize("plant", planted_faults.FAULTS, ids=lambda plant: plant.__name__)
def test_each_planted_fault_is_found_and_none_invented(drawn, tmp_path, plant):
    root = tmp_path / "set"
    shutil.copytree(drawn, root)
    plant(root)
    assert set(codes(frcnn.data_report(root))) == planted_faults.FAULTS[plant]


def test_wrong_anchors_and_classes_of_a_spec_are_found(drawn, spec):
    report = frcnn.data_report(drawn, spec=spec, compare=0)
    assert codes(report) == [
        "bad_anchors",
        "class_without_anchors",
        "class_without_anchors",
        "class_without_anchors",
        "mapped_without_objects",
        "unmapped_classes",
    ]
    anchors = report.content["anchors"]
    assert anchors["given"]["full"] == 0
    assert anchors["fitted"]["missed"] == 0
    texts = {each.code: each.text for each in report.findings}
    assert "triangle" in texts["unmapped_classes"]
    assert texts["mapped_without_objects"].endswith("star.")


def test_counts_are_those_of_the_conversion(tmp_path):
    lines = {f"{number:03d}": [CAR] * (number % 3) + [PEDESTRIAN, DONT_CARE] for number in range(20)}
    lines["003"].append("Car 0 0 0 5 5 5 5 0 0 0 0 0 0 0")
    lines["004"].append("Car 0 0 0 5 5 nonsense 5 0 0 0 0 0 0 0")
    lines["005"].append("too few")
    root = write_kitti(tmp_path / "kitti", lines)
    (root / "label_2/006.txt").unlink()
    (root / "image_2/007.png").write_bytes(b"no image")
    config = KITTIConfig(
        root_directory_path=str(root), image_dir_name="image_2", label_dir_name="label_2",
        image_extension=".png", partition_mode="random", num_partitions=2, val_split=30, num_shards=1,
    )  # fmt: skip
    convert = frcnn.ConvertSpec(kitti_config=config)
    done = frcnn.convert(convert, tmp_path / "out/set", embed_images=True)
    (tmp_path / "convert.txt").write_text(convert.to_text())
    source = frcnn.data_report(tmp_path / "convert.txt", compare=0).content
    records = frcnn.data_report(tmp_path / "out", compare=0).content
    for content in (source, records):
        assert [each["images"] for each in content["folds"]] == [fold.images for fold in done.folds]
        for each in content["classes"]:
            name = each["name"]
            assert list(each["objects"].values()) == [fold.boxes[name] for fold in done.folds]
            assert list(each["images"].values()) == [fold.images_with[name] for fold in done.folds]
        assert content["dont_care_regions"] == done.boxes["dontcare"]
    issues = {each["kind"]: each["count"] for each in source["issues"]}
    assert issues == {str(kind): count for kind, count in done.skipped.items()}
    assert records["issues"] == []


def test_lists_of_names_are_folds(drawn, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(drawn / "train", root)
    (root / "train.txt").write_text("".join(f"{number:06d}\n" for number in range(15)))
    (root / "val.txt").write_text("images/000015.jpg\n000016.jpg\nlost\n")
    content = frcnn.data_report(root, compare=0).content
    assert {each["name"]: each["images"] for each in content["folds"]} == {
        "train": 15,
        "val": 2,
        "in no list": planted_faults.TRAIN - 17,
    }
    assert [(each["kind"], each["count"]) for each in content["issues"]] == [("image that is missing", 1)]


def test_coco_gives_the_counts_of_kitti(drawn, tmp_path):
    frcnn.convert_labels(drawn, tmp_path / "coco", "coco")
    kitti, coco = (frcnn.data_report(place, compare=0).content for place in (drawn, tmp_path / "coco"))
    assert kitti["classes"] == coco["classes"]
    assert kitti["histograms"] == coco["histograms"]
    assert kitti["anchors"] == coco["anchors"]


def test_page_and_json_are_written_together(drawn, tmp_path):
    report = frcnn.data_report(drawn, tmp_path / "out", compare=0)
    assert report.page == tmp_path / "out/report.html"
    assert json.loads((tmp_path / "out/report.json").read_text()) == report.content
    text = report.page.read_text()
    assert 'src="http' not in text and "<script" not in text
    # 8 samples of each of three classes, and the smallest and largest 12.
    assert text.count("<img ") == 3 * 8 + 2 * 12
    assert "None: nothing in this data set is likely to hurt a training." in text


def test_a_page_that_cannot_be_written_leaves_both_files_as_they_were(drawn, tmp_path):
    (tmp_path / "report.json").write_text("{}")
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OSError, match="report"):
        frcnn.data_report(drawn, tmp_path, compare=0)
    assert (tmp_path / "report.json").read_text() == "{}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_small_images_keep_their_aspect_ratio(tmp_path):
    root = write_kitti(tmp_path / "kitti", {"000": [CAR]})
    write_image(root / "image_2/000.png", 64, 96)
    assert "stretched" not in codes(frcnn.data_report(root))


def test_names_of_classes_and_files_are_text(tmp_path):
    root = write_kitti(tmp_path / "kitti", {"<b>0": [CAR.replace("Car", "<i>&")]})
    report = frcnn.data_report(root, tmp_path / "out", compare=0)
    text = report.page.read_text()
    assert "<i>&" not in text and "&lt;i&gt;&amp;" in text
    assert "<b>0" not in text


def test_workers_give_the_same_report(drawn, monkeypatch):
    monkeypatch.setattr("frcnn.survey.collect.ENOUGH_FOR_PROCESSES", 2)
    alone, together = (frcnn.data_report(drawn, compare=0, workers=count) for count in (1, 2))
    assert alone == together


def test_one_image_without_objects_is_reported(tmp_path):
    root = write_kitti(tmp_path / "kitti", {"000": []})
    report = frcnn.data_report(root, tmp_path / "out")
    assert codes(report) == ["images_without_objects", "no_objects"]
    assert report.page.is_file()


def test_only_broken_images_are_an_error_that_names_them(tmp_path):
    root = write_kitti(tmp_path / "kitti", {"000": [CAR]})
    (root / "image_2/000.png").write_bytes(b"no image")
    with pytest.raises(frcnn.errors.DataError, match=r"no usable image .*\n.*000.png: image that"):
        frcnn.data_report(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_is_an_error_that_lists_the_layouts(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(frcnn.errors.UsageError, match=r"not a data set; expected a folder with images/"):
        frcnn.data_report(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_report_of_an_evaluation_is_not_replaced(drawn, tmp_path):
    (tmp_path / "report.html").write_text("an evaluation")
    with pytest.raises(frcnn.errors.UsageError, match=r"holds a report.html that no data report wrote"):
        frcnn.data_report(drawn, tmp_path, compare=0)
    assert (tmp_path / "report.html").read_text() == "an evaluation"
    (tmp_path / "report.html").unlink()
    for _ in range(2):  # its own report is
        frcnn.data_report(drawn, tmp_path, compare=0)


def test_a_text_called_train_that_lists_no_image_is_no_part(drawn, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(drawn / "train", root)
    (root / "train.txt").write_text("Notes on the training.\n")
    assert [each["name"] for each in frcnn.data_report(root, compare=0).content["folds"]] == ["all"]


def test_an_image_of_two_lists_is_a_leak(drawn, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(drawn / "train", root)
    (root / "train.txt").write_text("".join(f"{number:06d}\n" for number in range(20)))
    (root / "val.txt").write_text("".join(f"{number:06d}\n" for number in range(19, 24)))
    assert codes(frcnn.data_report(root)) == ["leak"]


def test_boxes_of_any_number_are_counted(tmp_path):
    wide = "Car 0 0 0 -1e38 -1e38 2e38 2e38 0 0 0 0 0 0 0"
    root = write_kitti(tmp_path / "kitti", {"000": [wide] + [CAR] * 30})
    report = frcnn.data_report(root, tmp_path / "out")
    assert report.findings == ()
    assert sum(report.content["histograms"]["side_in_image"]) == 31


def test_many_classes_are_listed_in_part_and_counted(tmp_path):
    lines = [CAR.replace("Car", f"class{number}") for number in range(400)]
    report = frcnn.data_report(write_kitti(tmp_path / "kitti", {"000": lines}), tmp_path / "out")
    few = [each.text for each in report.findings if each.code == "few_objects"]
    assert len(few) == 21 and few[-1] == "380 more findings of this kind."
    assert "The 300 classes with the most objects, out of 400" in report.page.read_text()
    assert len(report.content["classes"]) == 400


@pytest.mark.parametrize("layout", ["yolo", "voc"])
def test_labels_of_another_format_are_named_with_the_command_that_converts_them(drawn, tmp_path, layout):
    frcnn.convert_labels(drawn / "train", tmp_path / "set", layout)
    name = {"yolo": "YOLO", "voc": "Pascal VOC"}[layout]
    expected = f"has labels of {name}; convert them first: frcnn data labels {tmp_path}/set TARGET --to kitti"
    for look in (frcnn.data_report, lambda source: frcnn.new_spec(source, tmp_path / "out")):
        with pytest.raises(UsageError, match=expected):
            look(tmp_path / "set")


def test_lists_may_name_images_with_spaces_and_more_fields(tmp_path):
    root = write_kitti(tmp_path / "set", {"my image": [CAR], "b": [CAR], "c": [CAR]})
    (root / "train.txt").write_text("my image.png\n")
    (root / "val.txt").write_text("b -1\n\nc  1\n")
    report = frcnn.data_report(root, compare=0)
    assert [(fold["name"], fold["images"]) for fold in report.content["folds"]] == [("train", 1), ("val", 2)]
    assert report.content["issues"] == []


def test_a_list_names_images_whose_accents_are_composed_differently(tmp_path):
    root = write_kitti(tmp_path / "set", {"e\u0301": [CAR], "b": [CAR]})
    (root / "val.txt").write_text("\u00e9\n")
    report = frcnn.data_report(root, compare=0)
    folds = [(fold["name"], fold["images"]) for fold in report.content["folds"]]
    assert folds == [("val", 1), ("in no list", 1)]


@pytest.mark.parametrize("content", [large_png(), b"GIF89a" + bytes(100)], ids=["large", "gif"])
def test_an_image_in_a_record_that_cannot_be_read_is_an_issue(tmp_path, content):
    records = [image_record(0), image_record(1, encoded=content), image_record(2)]
    write_records(tmp_path / "set-fold-000-of-001-shard-00000-of-00001", records)
    found = frcnn.data_report(tmp_path, compare=0)
    assert found.images == 2
    assert [each["count"] for each in found.content["issues"]] == [1]
