"""Written specs: what the other commands make of them."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

import frcnn
from frcnn.cli.main import main
from frcnn.data.input.dataset import validation_dataset
from frcnn.data.input.sources import training_sources, validation_sources
from frcnn.errors import DataError, UsageError
from frcnn.settings.data import data_settings
from frcnn.settings.model import geometry_of
from frcnn.spec import load_dataset_export, load_experiment
from frcnn.survey.anchors import best_iou
from tests.support.kitti_folder import CAR, HEIGHT, WIDTH, write_image, write_kitti
from tests.support.planted_faults import TRAIN, VAL, clean_set


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return clean_set(tmp_path_factory.mktemp("drawn"))


def converted(found):
    """Converts as the command says; returns the number of training and validation records."""
    for spec, prefix in found.conversions:
        frcnn.convert(spec, prefix)
    spec = load_experiment(found.experiment)
    counts = []
    settings = data_settings(spec)
    for sources in (training_sources(settings), validation_sources(settings)):
        files = [path for source in sources for path in source.files]
        content = [frcnn.data_report(str(path), compare=0).images for path in files if path.stat().st_size]
        counts.append(sum(content))
        for source in sources:
            assert source.images.is_dir()
    return tuple(counts)


def images_of_the_test_set(found):
    """Converts the test set; returns the number of images that the printed command evaluates on."""
    for spec, prefix in found.conversions:
        if prefix.name == "test":
            frcnn.convert(spec, prefix)
    (command,) = [each for each in found.commands if "--tfrecords" in each]
    words = shlex.split(command)
    flags = dict(zip(words[2::2], words[3::2], strict=True))
    spec = load_experiment(flags["-e"])
    given = data_settings(spec.evaluated_on(flags["--tfrecords"], Path(flags["--images"])))
    batches = validation_dataset(given, batch_size=2).batches
    return sum(int(batch["image_valid"].numpy().sum()) for batch in batches)


def test_folders_called_train_and_val_are_used_as_such(drawn, tmp_path):
    found = frcnn.new_spec(drawn, tmp_path / "out")
    assert [path.name for path, _ in found.conversions] == ["convert_train.txt", "convert_val.txt"]
    assert found.summary.startswith(f"{TRAIN} training images of about ")
    assert converted(found) == (TRAIN, VAL)


def test_a_folder_without_parts_is_split_at_random(drawn, tmp_path):
    found = frcnn.new_spec(drawn / "train", tmp_path / "out")
    assert "validation: a fifth of the images, drawn at random: fold 0 of " in found.summary
    assert converted(found) == (TRAIN - TRAIN // 5, TRAIN // 5)
    images = f"{TRAIN} images ({TRAIN - TRAIN // 5} for training, {TRAIN // 5} for validation)"
    assert found.summary.startswith(f"{images} of about ")
    text = found.experiment.read_text()
    assert f"# {images}, " in text
    epochs = load_experiment(found.experiment).training_config.num_epochs
    assert f"{epochs * (TRAIN - TRAIN // 5):,} images seen" in text


def test_the_labels_of_the_records_show_which_images_are_held_out(drawn, tmp_path):
    """As docs/know-your-data.md says."""
    found = frcnn.new_spec(drawn / "train", tmp_path / "out")
    assert converted(found) == (TRAIN - TRAIN // 5, TRAIN // 5)
    folds = tmp_path / "folds"
    frcnn.convert_labels(tmp_path / "out/records", folds, "kitti", images=drawn / "train")
    held = {path.stem for path in (folds / "fold_0/images").iterdir()}
    used = {path.stem for path in (folds / "fold_1/images").iterdir()}
    settings = data_settings(load_experiment(found.experiment))
    batches = validation_dataset(settings, batch_size=TRAIN // 5).batches.take(1)
    (frames,) = [batch["frame_id"].numpy() for batch in batches]
    assert held == {Path(frame.decode()).stem for frame in frames}
    assert used == {path.stem for path in (drawn / "train/images").iterdir()} - held


def test_lists_of_names_are_used_and_the_test_list_is_kept_apart(drawn, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(drawn / "train", root)
    for name, numbers in (("train", range(4)), ("val", range(4, 14)), ("test", range(14, 17))):
        (root / f"{name}.txt").write_text("".join(f"{number:06d}\n" for number in numbers))
    found = frcnn.new_spec(root, tmp_path / "out")
    assert [prefix.name for _, prefix in found.conversions] == ["set", "test"]
    assert images_of_the_test_set(found) == 3
    assert converted(found) == (4, 10)  # although val is larger, which makes it the first sequence


def test_coco_files_called_train_and_val_are_used_as_such(drawn, tmp_path):
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    for part in ("train", "val"):
        frcnn.convert_labels(drawn / part, tmp_path / part, "coco", copy_images=True)
        shutil.move(tmp_path / part / "images", root / part)
        shutil.move(tmp_path / part / "annotations.json", root / f"annotations/instances_{part}.json")
    found = frcnn.new_spec(root, tmp_path / "out")
    assert load_dataset_export(found.conversions[0][0]).coco_config.root_directory_path == str(root)
    assert converted(found) == (TRAIN, VAL)


def test_the_command_for_a_test_set_finds_its_images(drawn, tmp_path):
    kitti, coco = tmp_path / "kitti", tmp_path / "coco"
    for part in ("train", "val", "test"):
        shutil.copytree(drawn / ("train" if part == "train" else "val"), kitti / part)
    assert images_of_the_test_set(frcnn.new_spec(kitti, tmp_path / "a")) == VAL
    frcnn.convert_labels(kitti, coco, "coco", copy_images=True)
    assert images_of_the_test_set(frcnn.new_spec(coco, tmp_path / "b")) == VAL


def test_without_a_test_set_no_command_evaluates_on_one(drawn, tmp_path):
    assert not any("--tfrecords" in each for each in frcnn.new_spec(drawn, tmp_path / "out").commands)


def test_a_single_coco_file_gets_no_validation_and_no_command_that_needs_it(drawn, tmp_path):
    frcnn.convert_labels(drawn / "train", tmp_path / "coco", "coco")
    found = frcnn.new_spec(tmp_path / "coco", tmp_path / "out")
    assert "validation: none: the only annotation file is for training; add one" in found.summary
    assert [command.split()[1] for command in found.commands] == ["dataset_convert", "train"]


def test_either_advice_for_a_single_coco_file_gives_validation_images(drawn, tmp_path):
    coco = tmp_path / "my coco"
    frcnn.convert_labels(drawn / "train", coco, "coco", copy_images=True)
    summary = frcnn.new_spec(coco, tmp_path / "none").summary
    command = shlex.split(next(line for line in summary.splitlines() if "TARGET" in line).split(": ")[-1])
    assert command == ["frcnn", "data", "labels", str(coco), "TARGET", "--to", "kitti"]
    target = str(tmp_path / "kitti")
    assert main([target if word == "TARGET" else word for word in command[1:]]) == 0
    assert converted(frcnn.new_spec(target, tmp_path / "split")) == (TRAIN - TRAIN // 5, TRAIN // 5)

    content = json.loads((coco / "annotations.json").read_text())
    content["images"] = content["images"][:2]
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] in kept]
    (coco / "instances_val.json").write_text(json.dumps(content))
    assert converted(frcnn.new_spec(coco, tmp_path / "added")) == (TRAIN, 2)


def test_records_need_no_conversion(drawn, tmp_path):
    first = frcnn.new_spec(drawn / "train", tmp_path / "first")
    converted(first)
    found = frcnn.new_spec(tmp_path / "first/records", tmp_path / "second", images=drawn / "train")
    assert found.conversions == ()
    assert found.commands[0].startswith("frcnn train ")
    assert converted(found) == (TRAIN - TRAIN // 5, TRAIN // 5)


def test_the_spec_holds_what_the_data_set_holds(drawn, tmp_path):
    spec = load_experiment(frcnn.new_spec(drawn, tmp_path / "out", num_epochs=7).experiment)
    assert spec.class_names == ("circle", "square", "triangle")
    assert spec.training_config.num_epochs == 7
    size = spec.model_config.input_image_config.size_height_width
    assert (size.height, size.width) == (240, 320)
    assert best_iou.__module__ == "frcnn.survey.anchors"
    report = frcnn.data_report(drawn, spec=spec, compare=0)
    assert report.findings == ()
    assert report.content["anchors"]["given"]["missed"] == 0


def test_each_choice_has_its_reason_beside_it(drawn, tmp_path):
    text = frcnn.new_spec(drawn, tmp_path / "out").experiment.read_text()
    fields = "size_height_width scale: arch: roi_mini_batch batch_size_per_gpu: num_epochs base_lr "
    fields += "max_objects_num_per_image image_scaling_factor"
    for field in fields.split():
        lines = [line for line in text.splitlines() if field in line]
        assert any("#" in line for line in lines), field


def test_rois_are_pooled_where_they_are_and_resnet_has_max_pooling(drawn, tmp_path):
    spec = load_experiment(frcnn.new_spec(drawn, tmp_path / "out", arch="resnet:18").experiment)
    assert geometry_of(spec).positions_by_stride
    assert spec.model_config.use_pooling


def test_resnet101_which_always_has_max_pooling_gets_no_field_without_effect(drawn, tmp_path, caplog):
    spec = load_experiment(frcnn.new_spec(drawn, tmp_path / "out", arch="resnet101").experiment)
    assert not spec.model_config.use_pooling
    assert "use_pooling" not in caplog.text


def test_gray_images_get_a_gray_network(tmp_path):
    for number in range(6):
        write_image(tmp_path / f"set/images/{number}.png", 128, 160)
        path = tmp_path / f"set/images/{number}.png"
        with Image.open(path) as image:
            image.convert("L").save(path)
        (tmp_path / "set/labels").mkdir(exist_ok=True)
        (tmp_path / f"set/labels/{number}.txt").write_text(f"{CAR}\n")
    spec = load_experiment(frcnn.new_spec(tmp_path / "set", tmp_path / "out").experiment)
    image = spec.model_config.input_image_config
    assert image.image_type.name == "GRAY_SCALE"
    assert image.image_channel_mean["l"] == pytest.approx(90, abs=1)


def test_the_input_size_is_written_once_so_that_two_settings_change_it(drawn, tmp_path):
    size = "model_config.input_image_config.size_height_width"
    path = frcnn.new_spec(drawn, tmp_path / "out").experiment
    spec = load_experiment(path, settings=[f"{size}.height=160", f"{size}.width=224"])
    preprocessing = spec.augmentation_config.preprocessing
    assert (preprocessing.output_image_height, preprocessing.output_image_width) == (160, 224)


def test_weights_of_torchvision_bring_their_preprocessing(drawn, tmp_path):
    weights = tmp_path / "resnet50-0676ba61.safetensors"
    weights.write_bytes(b"")
    spec = load_experiment(frcnn.new_spec(drawn, tmp_path / "out", pretrained=weights).experiment)
    assert spec.model_config.arch == "resnet:50" and spec.model_config.use_pooling
    assert spec.training_config.pretrained_weights == str(weights)
    image = spec.model_config.input_image_config
    assert (image.image_channel_order, image.image_scaling_factor) == ("rgb", 57.63)


def test_one_image_of_one_class_gives_a_spec_without_validation(tmp_path):
    write_image(tmp_path / "set/images/a b.png", 128, 160)
    (tmp_path / "set/labels").mkdir()
    (tmp_path / "set/labels/a b.txt").write_text(f"{CAR}\n")
    found = frcnn.new_spec(tmp_path / "set", tmp_path / "out")
    spec = load_experiment(found.experiment)
    assert spec.dataset_config.validation_fold is None
    assert spec.class_names == ("car",)
    assert "# Validation: none: 1 images are too few to hold any out." in found.experiment.read_text()


def test_specs_that_exist_are_replaced_only_with_force(drawn, tmp_path):
    found = frcnn.new_spec(drawn, tmp_path / "out", num_epochs=7)
    found.experiment.write_text("mine")
    with pytest.raises(UsageError, match=r"experiment.txt exists; choose another folder, or use --force"):
        frcnn.new_spec(drawn, tmp_path / "out")
    assert found.experiment.read_text() == "mine"
    frcnn.new_spec(drawn, tmp_path / "out", force=True)
    assert load_experiment(found.experiment).training_config.num_epochs == 80


def test_without_objects_nothing_is_written(tmp_path):
    write_image(tmp_path / "set/images/a.png", 128, 160)
    (tmp_path / "set/labels").mkdir()
    (tmp_path / "set/labels/a.txt").write_text("")
    with pytest.raises(DataError, match="no labeled object to train on"):
        frcnn.new_spec(tmp_path / "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"goal": "fast"}, "goal 'fast': expected accuracy, speed or edge"),
        ({"arch": "resnet:19"}, "arch 'resnet:19': unknown backbone; did you mean 'resnet:1"),
        ({"arch": "swin"}, "arch 'swin': unknown backbone; expected one of resnet:10, resnet:18"),
        ({"num_epochs": 0}, "num_epochs 0: expected 1 or more"),
        ({"pretrained": "no/such.pth"}, "no/such.pth: no such file"),
    ],
)
def test_wrong_arguments_are_named(drawn, tmp_path, arguments, message):
    with pytest.raises(UsageError, match=message):
        frcnn.new_spec(drawn, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_conversion_spec_is_no_data_set(drawn, tmp_path):
    found = frcnn.new_spec(drawn / "train", tmp_path / "out")
    with pytest.raises(UsageError, match="is a conversion spec; give the data set that it converts"):
        frcnn.new_spec(found.conversions[0][0], tmp_path / "again")


def test_a_conversion_spec_of_the_users_is_replaced_only_with_force(drawn, tmp_path):
    mine = tmp_path / "out/convert.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(UsageError, match=r"convert.txt exists; choose another folder, or use --force"):
        frcnn.new_spec(drawn / "train", tmp_path / "out")
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["mine"]
    frcnn.new_spec(drawn / "train", tmp_path / "out", force=True)
    assert "kitti_config" in mine.read_text()


@pytest.mark.parametrize("part", ["", "train"])
def test_specs_of_a_relative_folder_work_from_every_folder(drawn, tmp_path, monkeypatch, part):
    monkeypatch.chdir(drawn.parent)
    found = frcnn.new_spec(f"{drawn.name}/{part}", tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    expected = (TRAIN - TRAIN // 5, TRAIN // 5) if part else (TRAIN, VAL)
    assert converted(found) == expected


@pytest.mark.parametrize(("name", "why"), [("\x1b[31mred", "control characters"), ("Background", "reserved")])
def test_classes_that_no_spec_can_hold_are_named_as_a_fault_of_the_data(tmp_path, name, why):
    write_image(tmp_path / "set/images/0.png")
    (tmp_path / "set/labels").mkdir()
    (tmp_path / "set/labels/0.txt").write_text(CAR.replace("Car", name) + "\n")
    with pytest.raises(DataError, match=rf"set: the specs for this data set would not be valid. .*\n.*{why}"):
        frcnn.new_spec(tmp_path / "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_image_with_thousands_of_objects_gives_a_valid_spec(tmp_path):
    root = tmp_path / "set"
    write_image(root / "images/a.png", 100, 200)
    (root / "labels").mkdir()
    (root / "labels/a.txt").write_text(f"{CAR}\n" * 5000)
    spec = load_experiment(frcnn.new_spec(root, tmp_path / "out").experiment)
    assert spec.model_config.input_image_config.max_objects_num_per_image == 6250
    assert spec.inference_config.rpn_nms_max_boxes == 2000


def test_sizes_are_width_x_height_in_the_spec_and_in_the_printed_summary(tmp_path):
    found = frcnn.new_spec(write_kitti(tmp_path / "one", {"000": [CAR]}), tmp_path / "out")
    size = f"{WIDTH} x {HEIGHT} px (width x height)"
    assert found.summary.startswith(f"1 training image of about {size}, 1 object of 1 class\n")
    text = (tmp_path / "out/experiment.txt").read_text()
    assert f"images are about {size}; 5 % of objects" in text
    assert "# 1 object: few to learn from" in text


def test_a_folder_whose_name_is_not_utf8_is_refused_and_reported_on(drawn, tmp_path):
    folder = tmp_path / "caf\udce9"
    shutil.copytree(drawn / "train", folder)
    with pytest.raises(UsageError, match="this name is not UTF-8, which a spec requires"):
        frcnn.new_spec(folder, tmp_path / "out")
    frcnn.data_report(folder, tmp_path / "report", compare=0)
    assert json.loads((tmp_path / "report/report.json").read_text())["sources"] == [str(folder)]
    assert "caf\\xe9" in (tmp_path / "report/report.html").read_text()


def test_images_that_are_left_out_are_named(tmp_path, caplog):
    root = write_kitti(tmp_path / "set", {"a": [CAR]})
    write_image(root / "image_2/more/b.png")
    frcnn.new_spec(root, tmp_path / "out")
    assert f"1 image in subfolders of {root}/image_2 is not used, such as more/b.png" in caplog.text


def test_weights_that_are_not_there_are_answered_with_what_to_do(drawn, tmp_path):
    told = r"resnet18\.pt: no such file; docs/pretrained\.md .*; without the flag, .* random weights$"
    with pytest.raises(UsageError, match=told):
        frcnn.new_spec(drawn, tmp_path / "out", pretrained=tmp_path / "resnet18.pt")
