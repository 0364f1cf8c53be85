"""What `frcnn data labels` writes for a set with parts is taken by the commands that come next."""

import re
import shutil

import pytest

import frcnn
from frcnn.data.conversion.convert import make_plan
from frcnn.demo.own_data import check_data
from frcnn.demo.specs import convert_spec
from frcnn.errors import DataError, UsageError
from frcnn.settings.conversion import conversion_settings
from frcnn.spec import load_dataset_export, load_experiment
from frcnn.steps.default_conversion import default_conversion
from tests.support.planted_faults import TRAIN, VAL, clean_set

CLASSES = ("circle", "square", "triangle")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return clean_set(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(params=["folders", "lists", "coco files", "voc lists"])
def source(request, drawn, tmp_path):
    """The same images in each way to write down parts."""
    root = tmp_path / "source"
    if request.param == "folders":
        return drawn
    if request.param == "coco files":
        (root / "annotations").mkdir(parents=True)
        for part in ("train", "val"):
            frcnn.convert_labels(drawn / part, tmp_path / part, "coco", copy_images=True)
            shutil.move(tmp_path / part / "images", root / f"{part}2017")
            shutil.move(tmp_path / part / "annotations.json", root / f"annotations/instances_{part}2017.json")
        return root
    names = {}
    for part in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind).mkdir(parents=True, exist_ok=True)
            for path in (drawn / part / kind).iterdir():
                shutil.copy(path, root / kind / f"{part}_{path.name}")
        names[part] = sorted(f"{part}_{path.stem}\n" for path in (drawn / part / "images").iterdir())
    lists = root
    if request.param == "voc lists":
        frcnn.convert_labels(root, tmp_path / "voc", "voc")
        root = tmp_path / "voc"
        lists = root / "ImageSets/Main"
        lists.mkdir(parents=True)
    for part, stems in names.items():
        (lists / f"{part}.txt").write_text("".join(stems))
    return root


def sizes(spec):
    return [len(fold) for fold in make_plan(conversion_settings(spec)).folds]


@pytest.mark.parametrize("to", ["kitti", "coco"])
def test_specs_and_the_pipeline_take_the_parts(source, tmp_path, to):
    done = frcnn.convert_labels(source, tmp_path / "set", to)
    assert (done.images, done.skipped) == (TRAIN + VAL, ())
    found = frcnn.new_spec(tmp_path / "set", tmp_path / "out")
    folds = [sizes(load_dataset_export(path)) for path, _ in found.conversions]
    assert folds == ([[TRAIN], [VAL]] if to == "kitti" else [[VAL, TRAIN]])
    assert load_experiment(found.experiment).class_names == CLASSES
    (tmp_path / "scratch").mkdir()
    assert sizes(default_conversion(tmp_path / "set", tmp_path / "scratch")) == [VAL, TRAIN]
    assert frcnn.data_report(tmp_path / "set", compare=0).images == TRAIN + VAL


@pytest.mark.parametrize("to", ["coco", "yolo", "voc"])
def test_the_demo_names_the_command_and_takes_its_output(source, tmp_path, to):
    frcnn.convert_labels(source, tmp_path / "set", to)
    with pytest.raises(UsageError, match=f"first: frcnn data labels {tmp_path}/set TARGET"):
        check_data(tmp_path / "set")
    frcnn.convert_labels(tmp_path / "set", tmp_path / "target", "kitti")
    check_data(tmp_path / "target")
    (tmp_path / "scratch").mkdir()
    assert sizes(default_conversion(tmp_path / "target", tmp_path / "scratch")) == [VAL, TRAIN]


@pytest.mark.parametrize("to", ["yolo", "voc"])
def test_specs_name_the_command_for_the_whole_set(source, tmp_path, to):
    frcnn.convert_labels(source, tmp_path / "set", to)
    with pytest.raises(UsageError, match=f"first: frcnn data labels {tmp_path}/set TARGET --to kitti"):
        frcnn.new_spec(tmp_path / "set", tmp_path / "out")


@pytest.mark.parametrize(
    "task", [frcnn.data_report, lambda path: frcnn.convert_labels(path, path.parent / "out", "kitti")]
)
def test_the_file_of_yolos_class_names_is_answered_with_the_folder(source, tmp_path, task):
    frcnn.convert_labels(source, tmp_path / "set", "yolo")
    file = next((tmp_path / "set").rglob("data.yaml"))
    with pytest.raises(
        UsageError, match=f"{re.escape(str(file))}: is a part of a data set; give the folder of"
    ):
        task(file)


def test_coco_parts_convert_to_records_with_their_images(drawn, tmp_path):
    frcnn.convert_labels(drawn, tmp_path / "set", "coco")
    found = frcnn.new_spec(tmp_path / "set", tmp_path / "out")
    ((spec, prefix),) = found.conversions
    done = frcnn.convert(spec, prefix)
    assert (done.images, done.images_skipped) == (TRAIN + VAL, 0)
    report = frcnn.data_report(tmp_path / "out/records", images=tmp_path / "set", compare=0)
    assert (report.images, report.findings) == (TRAIN + VAL, ())


def test_folders_with_other_names_are_listed(drawn, tmp_path):
    for number, part in enumerate(("val", "train")):
        shutil.copytree(drawn / part, tmp_path / f"set/fold_{number}")
    with pytest.raises(UsageError, match="the folders fold_0, fold_1: give one of them, or rename them"):
        frcnn.new_spec(tmp_path / "set", tmp_path / "out")


def test_a_folder_above_a_single_data_set_is_told_its_name_and_all_formats(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc/a.xml").write_text("<annotation/>")
    with pytest.raises(UsageError) as raised:
        frcnn.convert_labels(tmp_path, tmp_path / "out", "kitti")
    message = str(raised.value)
    assert message.endswith("; its folder voc is a data set: give that folder")
    assert all(name in message for name in ("KITTI", "Pascal VOC", "YOLO", "COCO", "record files"))
    with pytest.raises(UsageError, match=r"no such file or folder; expected .* Pascal VOC"):
        frcnn.convert_labels(tmp_path / "missing", tmp_path / "out", "kitti")
    with pytest.raises(UsageError) as raised:
        frcnn.data_report(tmp_path, tmp_path / "out")
    assert "Pascal VOC" not in str(raised.value), "a report cannot read it"


def test_the_folder_of_the_images_is_answered_with_the_data_set_around_it(drawn, tmp_path):
    question = re.escape(f" Did you mean {drawn}/train?")
    for call in (lambda path: frcnn.new_spec(path, tmp_path / "out"), check_data):
        with pytest.raises((DataError, UsageError), match=f"train/images: .*{question}$"):
            call(drawn / "train/images")
    with pytest.raises(DataError, match=r"Expected KITTI layout\.$"):
        check_data(tmp_path)


@pytest.mark.parametrize("to", ["coco", "yolo", "voc", "kitti"])
@pytest.mark.parametrize("part", ["", "train"])
def test_a_conversion_spec_for_another_layout_is_answered_with_the_command(drawn, tmp_path, to, part):
    root = tmp_path / "set" / part
    frcnn.convert_labels(drawn, tmp_path / "set", to)
    spec = tmp_path / "convert.txt"
    spec.write_text(convert_spec(root, "images", "labels", ".jpg"))
    if to == "kitti" and part:
        assert frcnn.convert(spec, tmp_path / "records/set").images == TRAIN
        return
    labels = f"convert them first: frcnn data labels {root} TARGET --to kitti"
    command = labels if to in ("yolo", "voc") else f"frcnn spec new --data {root} -o NEW_FOLDER"
    with pytest.raises(UsageError, match=f"{re.escape(command)}$"):
        frcnn.convert(spec, tmp_path / "records/set")
    assert not (tmp_path / "records").exists()
