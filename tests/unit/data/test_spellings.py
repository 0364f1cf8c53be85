"""Names that look the same and differ in Unicode's form, as programs on macOS and others write them."""

import json
import unicodedata

import pytest
import tensorflow as tf

import frcnn
from frcnn.class_names import stored_class_name
from frcnn.data.input.dataset import validation_dataset
from frcnn.data.spellings import other_spellings, read_spelled
from frcnn.data.transforms.objects import ClassIndex
from frcnn.settings.data import data_settings
from frcnn.spec import load_experiment
from frcnn.spec.load import SpecError, parse_experiment
from tests.support.kitti_folder import write_image
from tests.support.task_spec import write_spec

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Caf\u00e9") for form in ("NFC", "NFD"))
LABEL = "{} 0 0 0 5 5 25 45 0 0 0 0 0 0 0\n"


def kitti(root, image, label, class_name="person"):
    write_image(root / "images" / image)
    (root / "labels").mkdir()
    (root / "labels" / label).write_text(LABEL.format(class_name))
    return frcnn.spec.KITTIConfig(
        root_directory_path=str(root), image_dir_name="images", label_dir_name="labels",
        image_extension=".png",
    )  # fmt: skip


def convert(tmp_path, **config):
    return frcnn.convert(frcnn.ConvertSpec(**config), tmp_path / "records/set")


def test_the_forms_are_equal_for_the_eye_only():
    assert COMPOSED != DECOMPOSED and (len(COMPOSED), len(DECOMPOSED)) == (4, 5)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("a.txt", ["a.TXT"]),
        ("a.Txt", ["a.TXT", "a.txt"]),
        ("a", []),
        (".hidden", [".HIDDEN"]),
        ("v1.2/a", []),
        (f"{COMPOSED}.png", [f"{COMPOSED}.PNG", f"{DECOMPOSED}.png", f"{DECOMPOSED}.PNG"]),
        (f"{DECOMPOSED}/a", [f"{COMPOSED}/a"]),
    ],
)
def test_other_spellings_of_a_name(name, others):
    assert list(other_spellings(name)) == others


def test_the_name_itself_is_read_first(tmp_path):
    for name in ("a.txt", "a.TXT"):
        (tmp_path / name).write_text(name)
    assert read_spelled(tmp_path, "a.TXT", 100) == b"a.TXT"
    assert read_spelled(tmp_path, "a.Txt", 100) == b"a.TXT"
    with pytest.raises(FileNotFoundError, match=r"b\.txt"):
        read_spelled(tmp_path, "b.txt", 100)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        (f"{COMPOSED}.png", f"{DECOMPOSED}.txt"),
        (f"{DECOMPOSED}.png", f"{COMPOSED}.txt"),
        (f"{DECOMPOSED}.PNG", f"{COMPOSED}.TXT"),
        ("a.png", "a.TXT"),
    ],
)
def test_a_label_file_belongs_to_the_image_that_looks_as_it_does(tmp_path, image, label):
    found = convert(tmp_path, kitti_config=kitti(tmp_path, image, label))
    assert (found.images, found.boxes) == (1, {"person": 1})


@pytest.mark.parametrize(("name", "file"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_images_of_a_coco_file_are_found_in_either_form(tmp_path, name, file):
    write_image(tmp_path / f"images/{file}.png")
    content = {
        "images": [{"id": 1, "file_name": f"{name}.png", "height": 80, "width": 100}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 40]}],
        "categories": [{"id": 1, "name": "person"}],
    }
    (tmp_path / "train.json").write_text(json.dumps(content))
    assert frcnn.data_report(tmp_path / "train.json", compare=0).objects == {"person": 1}
    config = frcnn.spec.COCOConfig(
        root_directory_path=str(tmp_path), img_dir_names=("images",), annotation_files=("train.json",),
        num_partitions=1,
    )  # fmt: skip
    assert convert(tmp_path, coco_config=config).boxes == {"person": 1}
    spec = load_experiment(
        write_spec(tmp_path / "spec.txt", records=f"{tmp_path}/records/set*", images=tmp_path)
    )
    spec = spec.updated({"dataset_config.target_class_mapping": {"person": "person"}})
    (batch,) = validation_dataset(data_settings(spec), batch_size=1).batches.as_numpy_iterator()
    assert (batch["valid"].sum(), batch["original_size"].tolist()) == (1, [[80, 100]])


def test_labels_of_yolo_are_not_lost(tmp_path):
    write_image(tmp_path / f"yolo/images/{COMPOSED}.png")
    (tmp_path / "yolo/labels").mkdir()
    (tmp_path / f"yolo/labels/{DECOMPOSED}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    (tmp_path / "yolo/classes.txt").write_text("car\n")
    frcnn.convert_labels(tmp_path / "yolo", tmp_path / "kitti", "kitti")
    (label,) = (tmp_path / "kitti/labels").iterdir()
    assert label.read_text().startswith("car ")


def test_a_class_has_one_name_in_records(tmp_path):
    for number, name in enumerate((COMPOSED, DECOMPOSED)):
        write_image(tmp_path / f"images/{number}.png")
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / f"labels/{number}.txt").write_text(LABEL.format(name))
    config = frcnn.spec.KITTIConfig(
        root_directory_path=str(tmp_path), image_dir_name="images", label_dir_name="labels",
        image_extension=".png",
    )  # fmt: skip
    assert convert(tmp_path, kitti_config=config).boxes == {COMPOSED.lower(): 2}
    assert stored_class_name(f" {DECOMPOSED} ") == COMPOSED.lower()


@pytest.mark.parametrize("key", [COMPOSED, DECOMPOSED])
def test_a_mapping_finds_the_class_in_records_of_either_form(key):
    index = ClassIndex({"tree": "other", key: "cafe"}, ("other", "cafe"))
    names = [COMPOSED, DECOMPOSED.lower(), "TREE", "cafe"]
    assert index(tf.constant(names)).numpy().tolist() == [1, 1, 0, -1]


def test_keys_that_look_the_same_do_not_map_to_two_classes(tmp_path):
    text = write_spec(tmp_path / "spec.txt", records="x", images=tmp_path).read_text()
    for key, value in ((COMPOSED, "a"), (DECOMPOSED, "b")):
        text += f'\ndataset_config {{ target_class_mapping {{ key: "{key}" value: "{value}" }} }}'
    with pytest.raises(SpecError, match="both keys are read as"):
        parse_experiment(text)
