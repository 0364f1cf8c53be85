import copy
import json
import os

import pytest

from frcnn.data.conversion.coco import annotations
from frcnn.data.conversion.coco.annotations import read_coco
from frcnn.data.conversion.coco.plan import plan_coco
from frcnn.data.conversion.faults import IssueKind
from frcnn.errors import DataError
from frcnn.settings.conversion import coco_settings
from frcnn.spec.schema.export import COCOConfig
from tests.support.kitti_folder import HEIGHT, WIDTH, write_coco, write_image

CONTENT = {
    "info": {"year": 2020},
    "images": [
        {"id": 7, "file_name": "b.jpg", "height": HEIGHT, "width": WIDTH},
        {"id": "x", "file_name": "sub/a.v1.png"},
    ],
    "annotations": [
        {"id": 1, "image_id": "x", "category_id": 3, "bbox": [1, 2, 30, 40.5], "segmentation": [[1, 2, 3]]},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [5.5, 6, 20, 10], "iscrowd": 1},
        {"id": 3, "image_id": "x", "category_id": 1, "bbox": [0, 0, 10, 10]},
    ],
    "categories": [{"id": 3, "name": "Traffic Light"}, {"id": 1, "name": "person"}],
}


@pytest.fixture
def root(tmp_path):
    write_image(tmp_path / "train/b.jpg")
    write_image(tmp_path / "train/sub/a.v1.png")
    write_coco(tmp_path, "ann/train.json", CONTENT)
    return tmp_path


def _config(root, **changes):
    fields = {"img_dir_names": ("train",), "annotation_files": ("ann/train.json",), "num_partitions": 1}
    return COCOConfig(root_directory_path=str(root), **{**fields, **changes})


def _readings(plan):
    return [plan.reader.read(job) for fold in plan.folds for job in fold]


def _changed(key, *entries):
    content = copy.deepcopy(CONTENT)
    content[key] = [*content[key], *entries]
    return content


def test_images_keep_their_order_and_get_their_boxes(root):
    first, second = (
        reading.record for reading in _readings(plan_coco(coco_settings(_config(root)), embed_images=False))
    )
    assert (first.frame_id, first.height, first.width) == ("train/b", HEIGHT, WIDTH)
    assert [(x.class_name, x.x1, x.y1, x.x2, x.y2) for x in first.labels] == [("person", 5.5, 6, 25.5, 16)]
    assert second.frame_id == "train/sub/a.v1"
    assert [(x.class_name, x.x1, x.y1, x.x2, x.y2) for x in second.labels] == [
        ("trafficlight", 1, 2, 31, 42.5),
        ("person", 0, 0, 10, 10),
    ]
    assert {x.occlusion for x in second.labels} == {0}


def test_images_are_embedded_when_asked_for(root):
    first, _ = _readings(plan_coco(coco_settings(_config(root)), embed_images=True))
    assert first.record.encoded == (root / "train/b.jpg").read_bytes()
    assert first.record.image_format == "jpeg"


def test_images_without_annotations_are_kept(root):
    write_image(root / "train/empty.png")
    write_coco(root, "ann/train.json", _changed("images", {"id": 9, "file_name": "empty.png"}))
    assert _readings(plan_coco(coco_settings(_config(root)), embed_images=False))[2].record.labels == ()


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        ({"image_id": 99, "category_id": 1, "bbox": [1, 1, 9, 9]}, IssueKind.UNKNOWN_IMAGE),
        ({"category_id": 1, "bbox": [1, 1, 9, 9]}, IssueKind.UNKNOWN_IMAGE),
        ({"image_id": [7], "category_id": 1, "bbox": [1, 1, 9, 9]}, IssueKind.UNKNOWN_IMAGE),
        ({"image_id": 7, "category_id": 2, "bbox": [1, 1, 9, 9]}, IssueKind.UNKNOWN_CATEGORY),
        ({"image_id": 7, "category_id": "1", "bbox": [1, 1, 9, 9]}, IssueKind.UNKNOWN_CATEGORY),
        ({"image_id": 7, "category_id": 1}, IssueKind.BAD_BOX),
        ({"image_id": 7, "category_id": 1, "bbox": [1, 1, 9]}, IssueKind.BAD_BOX),
        ({"image_id": 7, "category_id": 1, "bbox": [1, 1, "9", 9]}, IssueKind.BAD_BOX),
        ({"image_id": 7, "category_id": 1, "bbox": [1, 1, 1e39, 9]}, IssueKind.BAD_BOX),
        ({"image_id": 7, "category_id": 1, "bbox": [1, 1, 0, 9]}, IssueKind.ZERO_AREA),
        ({"image_id": 7, "category_id": 1, "bbox": [5, 5, -3, 9]}, IssueKind.ZERO_AREA),
        ({"image_id": 7, "category_id": 1, "bbox": [WIDTH, 1, 9, 9]}, IssueKind.OUTSIDE),
    ],
)
def test_a_bad_annotation_costs_itself_only_and_is_named_by_its_id(root, annotation, kind):
    write_coco(root, "ann/train.json", _changed("annotations", {"id": 4711, **annotation}))
    plan = plan_coco(coco_settings(_config(root)), embed_images=False)
    readings = _readings(plan)
    faults = [*plan.faults, *(fault for reading in readings for fault in reading.faults)]
    assert [(fault.kind, fault.annotation) for fault in faults] == [(kind, 4711)]
    assert faults[0].file == str(root / "ann/train.json")
    assert [len(reading.record.labels) for reading in readings] == [1, 2]


@pytest.mark.parametrize("entry", ["text", None, 3, []])
def test_annotations_that_are_no_objects_are_faults(root, entry):
    write_coco(root, "ann/train.json", _changed("annotations", entry))
    (fault,) = plan_coco(coco_settings(_config(root)), embed_images=False).faults
    assert (fault.kind, fault.annotation) == (IssueKind.BAD_BOX, 3)


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"id": 7, "file_name": "c.jpg"}, IssueKind.DUPLICATE),
        ({"file_name": "c.jpg"}, IssueKind.BAD_ENTRY),
        ({"id": 8}, IssueKind.BAD_ENTRY),
        ({"id": 8, "file_name": "/etc/c.jpg"}, IssueKind.BAD_ENTRY),
        ("c.jpg", IssueKind.BAD_ENTRY),
    ],
)
def test_unusable_image_entries_are_faults(root, entry, kind):
    write_coco(root, "ann/train.json", _changed("images", entry))
    plan = plan_coco(coco_settings(_config(root)), embed_images=False)
    assert [fault.kind for fault in plan.faults] == [kind]
    assert plan.size == 2


def test_a_missing_image_is_a_fault(root):
    (root / "train/b.jpg").unlink()
    first, second = _readings(plan_coco(coco_settings(_config(root)), embed_images=False))
    assert (first.record, first.faults[0].kind) == (None, IssueKind.NO_IMAGE)
    assert second.record is not None


def test_an_image_of_another_size_is_kept_and_named(root):
    write_image(root / "train/b.jpg", height=WIDTH, width=HEIGHT)
    first, _ = _readings(plan_coco(coco_settings(_config(root)), embed_images=False))
    assert first.record is not None
    assert [fault.kind for fault in first.faults] == [IssueKind.OTHER_SIZE]
    assert first.faults[0].kind.cost == "nothing"


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize("value", [[], None, {}])
def test_missing_lists_are_an_error_and_empty_ones_but_of_annotations(root, key, value):
    content = {**CONTENT, key: value}
    write_coco(root, "ann/train.json", {name: x for name, x in content.items() if x is not None})
    if (key, value) == ("annotations", []):  # images without objects, to count false alarms
        readings = _readings(plan_coco(coco_settings(_config(root)), embed_images=False))
        assert [reading.record.labels for reading in readings] == [(), ()]
        return
    with pytest.raises(DataError, match=f"no {key}"):
        plan_coco(coco_settings(_config(root)), embed_images=False)


@pytest.mark.parametrize(
    ("category", "words"),
    [({"id": 1, "name": "dog"}, "duplicate"), ({"id": "9", "name": "dog"}, "expected"), (5, "expected")],
)
def test_unusable_categories_are_an_error(root, category, words):
    write_coco(root, "ann/train.json", _changed("categories", category))
    with pytest.raises(DataError, match=words):
        plan_coco(coco_settings(_config(root)), embed_images=False)


@pytest.mark.parametrize(
    "text", ["", "{", '{"images": [' + "9" * 400 + "]}", '{"categories": [}', "not json", b"\xff\xfe{}"]
)
def test_json_that_cannot_be_read_is_an_error(root, text):
    content = text if isinstance(text, bytes) else text.encode()
    (root / "ann/train.json").write_bytes(content)
    with pytest.raises(DataError, match=r"train\.json: "):
        read_coco(root / "ann/train.json", "train")


def test_a_missing_annotation_file_or_folder_is_an_error(root):
    with pytest.raises(DataError, match=r"gone\.json: No such file"):
        plan_coco(coco_settings(_config(root, annotation_files=("ann/gone.json",))), embed_images=False)
    with pytest.raises(DataError, match="gone: no such folder"):
        plan_coco(coco_settings(_config(root, img_dir_names=("gone",))), embed_images=False)


def _two(root, **changes):
    return _config(
        root,
        num_partitions=2,
        img_dir_names=("train", "train"),
        annotation_files=("ann/train.json", "ann/other.json"),
        **changes,
    )


def test_each_annotation_file_is_a_fold_with_its_own_shards(root):
    write_coco(root, "ann/other.json", CONTENT)
    plan = plan_coco(coco_settings(_two(root, num_shards=(3, 5))), embed_images=False)
    assert (plan.fold_count, plan.shards, [len(fold) for fold in plan.folds]) == (2, (3, 5), [2, 2])
    assert plan_coco(coco_settings(_two(root, num_shards=(4,))), embed_images=False).shards == (4, 4)
    assert plan.source_names == {"Traffic Light", "person"}


def test_categories_must_be_the_same_in_all_files(root):
    write_coco(root, "ann/other.json", _changed("categories", {"id": 5, "name": "dog"}))
    with pytest.raises(DataError, match=r"differ in their categories: dog;"):
        plan_coco(coco_settings(_two(root)), embed_images=False)


def test_ids_may_be_whole_numbers_written_as_floats_and_true_is_none(root):
    content = copy.deepcopy(CONTENT)
    content["images"][0]["id"] = 7.0
    content["images"][0].update(height=float(HEIGHT), width=None)
    for entry in content["annotations"]:
        entry["category_id"] = float(entry["category_id"])
        entry["id"] = float(entry["id"])
    content["categories"][1]["id"] = 1.0
    content["annotations"].append({"id": 9, "image_id": 7, "category_id": True, "bbox": [1, 1, 9, 9]})
    content["annotations"].append({"id": 10, "image_id": 7, "category_id": 1.5, "bbox": [1, 1, 9, 9]})
    write_coco(root, "ann/train.json", content)
    plan = plan_coco(coco_settings(_config(root)), embed_images=False)
    readings = _readings(plan)
    assert [len(reading.record.labels) for reading in readings] == [1, 2]
    assert [(fault.kind, fault.annotation) for fault in plan.faults] == [
        (IssueKind.UNKNOWN_CATEGORY, 9),
        (IssueKind.UNKNOWN_CATEGORY, 10),
    ]
    assert [fault.reason for fault in plan.faults] == ["category_id true", "category_id 1.5"]
    assert not any(reading.faults for reading in readings)


def test_numbers_that_json_has_not_cost_nothing_where_they_are_not_used(root):
    write_coco(root, "ann/train.json", CONTENT)
    text = (root / "ann/train.json").read_text()
    text = text.replace('"id": 2,', '"area": NaN, "score": -Infinity, "note": "NaN, \\"Infinity", "id": 2,')
    text = text.replace('"bbox": [0, 0, 10, 10]', '"bbox": [NaN, 0, 10, 10]')
    (root / "ann/train.json").write_text("\ufeff" + text)
    plan = plan_coco(coco_settings(_config(root)), embed_images=False)
    assert [len(reading.record.labels) for reading in _readings(plan)] == [1, 1]
    (fault,) = plan.faults
    assert (fault.kind, fault.annotation) == (IssueKind.BAD_BOX, 3)
    assert fault.reason == "bbox [null, 0, 10, 10]; expected x, y, width, height"


def _images_named(root, *names):
    for name in names:
        write_image(root / "train" / name)
    content = copy.deepcopy(CONTENT)
    content["images"] = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    content["annotations"] = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 9 + n, 9]} for n in range(len(names))
    ]
    write_coco(root, "ann/train.json", content)
    return plan_coco(coco_settings(_config(root)), embed_images=False)


@pytest.mark.parametrize(
    ("names", "frames"),
    [
        (["0.jpg", "0.png"], ["0", "0.png"]),
        (["0.JPG", "0.jpg", "0.jpeg"], ["0", "0.jpg", "0.jpeg"]),
        (["0.png.jpg", "0.png", "0.jpg"], ["0.png.jpg", "0", "0.jpg"]),
        (["a/0.jpg", "b/0.jpg"], ["a/0", "b/0"]),
    ],
)
def test_no_two_images_have_one_frame_id_and_each_names_its_file(root, names, frames):
    records = [reading.record for reading in _readings(_images_named(root, *names))]
    assert [record.frame_id for record in records] == [f"train/{frame}" for frame in frames]
    assert [record.file for record in records] == [f"train/{name}" for name in names]


def test_an_image_listed_twice_is_one_image_with_the_boxes_of_both(root):
    plan = _images_named(root, "0.jpg", "./0.jpg", "1.jpg")
    records = [reading.record for reading in _readings(plan)]
    assert [(record.frame_id, len(record.labels)) for record in records] == [("train/0", 2), ("train/1", 1)]
    (fault,) = plan.faults
    assert (fault.kind, fault.reason) == (
        IssueKind.DUPLICATE,
        "./0.jpg is listed again as image 1; the boxes of both are merged",
    )


@pytest.mark.parametrize(
    "name", ["../../private/s.jpg", "a/../../b.jpg", "..", "/etc/passwd", "", "a\u0000b"]
)
def test_a_file_name_that_leads_out_of_the_image_folder_is_a_fault(root, name):
    write_coco(root, "ann/train.json", _changed("images", {"id": 8, "file_name": name}))
    plan = plan_coco(coco_settings(_config(root)), embed_images=True)
    assert [fault.kind for fault in plan.faults] == [IssueKind.BAD_ENTRY]
    assert [reading.record.file for reading in _readings(plan)] == ["train/b.jpg", "train/sub/a.v1.png"]


def test_json_nested_without_end_ends_in_a_sentence(root):
    (root / "ann/train.json").write_text('{"annotations": ' + '[{"a": ' * 100_000)
    with pytest.raises(DataError, match=r"train\.json: nested more than 64 levels deep"):
        read_coco(root / "ann/train.json", "train")


def test_an_annotation_file_that_is_a_pipe_is_an_error_at_once(root):
    (root / "ann/train.json").unlink()
    os.mkfifo(root / "ann/train.json")
    with pytest.raises(DataError, match=r"train\.json: a named pipe, not a regular file"):
        read_coco(root / "ann/train.json", "train")


def test_numbers_beyond_64_bits_cost_nothing_where_they_are_not_used(root):
    content = copy.deepcopy(CONTENT)
    content["annotations"][0]["id"] = 2**70
    content["annotations"][1]["area"] = 10**400
    content["annotations"][2]["score"] = float("nan")
    write_coco(root, "ann/train.json", content)
    plan = plan_coco(coco_settings(_config(root)), embed_images=False)
    assert [len(reading.record.labels) for reading in _readings(plan)] == [1, 2]
    # An id that no column can hold is replaced by the place in the list.
    assert [box.annotation for box in plan.folds[0][1].boxes] == [0, 3]


def test_images_may_be_named_by_numbers_beyond_64_bits(root):
    content = copy.deepcopy(CONTENT)
    content["images"][0]["id"] = content["annotations"][1]["image_id"] = 2**70
    write_coco(root, "ann/train.json", content)
    plan = plan_coco(coco_settings(_config(root)), embed_images=False)
    assert [len(reading.record.labels) for reading in _readings(plan)] == [1, 2]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_text_that_is_not_utf8_is_named_without_bytes_of_python(root, encoding):
    (root / "ann/train.json").write_bytes(json.dumps({"a": "caf\xe9"}, ensure_ascii=False).encode(encoding))
    with pytest.raises(
        DataError, match=r"train\.json: invalid JSON: lexical error.*; save the file as UTF-8$"
    ) as caught:
        plan_coco(coco_settings(_config(root)), embed_images=False)
    assert "b'" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "  ", "x" * 201])
def test_a_category_without_a_name_or_with_an_endless_one_is_an_error(root, name):
    write_coco(root, "ann/train.json", {**CONTENT, "categories": [{"id": 1, "name": name}]})
    with pytest.raises(DataError, match="expected an integer id and a name of at most 200 characters"):
        plan_coco(coco_settings(_config(root)), embed_images=False)


def test_a_box_of_truth_values_is_no_box(root):
    box = {"id": 9, "image_id": 7, "category_id": 1, "bbox": [True, True, 20, 10]}
    write_coco(root, "ann/train.json", _changed("annotations", box))
    (fault,) = plan_coco(coco_settings(_config(root)), embed_images=False).faults
    assert (fault.kind, fault.annotation) == (IssueKind.BAD_BOX, 9)


def test_faults_beyond_the_first_ones_are_counted(root, monkeypatch):
    monkeypatch.setattr(annotations, "MAX_NAMED_OF_DATASET", 3)
    write_coco(root, "ann/train.json", _changed("annotations", *[{"id": n} for n in range(10)], 7))
    faults = plan_coco(coco_settings(_config(root)), embed_images=False).faults
    assert [(fault.kind, fault.count) for fault in faults] == [
        *[(IssueKind.UNKNOWN_IMAGE, 1)] * 3,
        (IssueKind.UNKNOWN_IMAGE, 7),
        (IssueKind.BAD_BOX, 1),
    ]
