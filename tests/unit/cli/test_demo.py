import argparse
import functools
import os
from pathlib import Path

import pytest
from PIL import Image

import frcnn
from frcnn.cli import demo
from frcnn.cli.main import main
from frcnn.demo.specs import Paths
from frcnn.errors import DataError, RunError, UsageError
from frcnn.settings.conversion import conversion_settings
from frcnn.spec import load_experiment

METRICS = """
{"mAP": %s, "images": 2,
 "iou": {"0.50": {"mAP": %s, "classes": {
   "car": {"ap": %s, "objects": 9, "difficult": 0, "rpn_recall": 0.5},
   "van": {"ap": null, "objects": 0, "difficult": 0, "rpn_recall": null}}}}}
"""
PRUNING = '{"params": {"before": 5000000, "after": 1234567}}'


def kitti_folder(root, images=10, suffix=".png", size=(160, 128)):
    """A data set of black images, each with one car and one region that nobody labeled."""
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for number in range(images):
        Image.new("RGB", size).save(root / "images" / f"{number:03d}{suffix}")
        (root / "labels" / f"{number:03d}.txt").write_text(
            f"Car 0 0 0 10 10 {40 + number} 50 0 0 0 0 0 0 0\nDontCare 0 0 0 0 0 9 9 0 0 0 0 0 0 0\n"
        )
    return root


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch):
    monkeypatch.setattr(demo, "SYNTHETIC_SCENES", ("--images", 8, "--height", 128, "--width", 176))


@pytest.fixture
def commands(monkeypatch):
    """Lets the demo run but for the pipeline and inference, which are noted and leave what they would."""
    real, noted = demo._task, []

    def run(name, *words):
        noted.append((name, *map(str, words)))
        if name == "demo-data":
            real(name, *words)
        if name == "pipeline":
            leave_artifacts(words[words.index("-o") + 1] / "latest")
        if name == "inference":
            annotated = load_experiment(words[1]).inference_config.detection_image_output_dir
            Path(annotated).mkdir()
            (Path(annotated) / "003.png").touch()

    monkeypatch.setattr(demo, "_task", run)
    return noted


def leave_artifacts(latest, retrained=0.9):
    for step, mean_ap in (("evaluate", 0.91234), ("evaluate-retrained", retrained)):
        (latest / step / "report").mkdir(parents=True)
        (latest / step / "report" / "metrics.json").write_text(METRICS % ((mean_ap,) * 3))
    (latest / "prune" / "pruned").mkdir(parents=True)
    (latest / "prune" / "pruned" / "pruning.json").write_text(PRUNING)
    (latest / "retrain" / "model").mkdir(parents=True)
    (latest / "retrain" / "model" / "model.tlt").touch()


def run_demo(output, data, epochs=None, *, apply_exif=False):
    demo.run(argparse.Namespace(output=output, data=data, epochs=epochs, apply_exif=apply_exif))


def test_rotated_images_are_surveyed_and_used_as_viewers_show_them(tmp_path, commands):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    kitti_folder(tmp_path / "data", suffix=".jpg", size=(128, 160))
    for path in (tmp_path / "data" / "images").iterdir():
        Image.new("RGB", (160, 128)).save(path, exif=exif)
    run_demo(tmp_path / "plain", tmp_path / "data")
    run_demo(tmp_path / "turned", tmp_path / "data", apply_exif=True)
    sizes = [
        load_experiment(
            tmp_path / name / "specs/experiment.txt"
        ).model_config.input_image_config.size_height_width
        for name in ("plain", "turned")
    ]
    assert [(size.height, size.width) for size in sizes] == [(128, 160), (160, 128)]
    assert [(words[0], "--apply_exif" in words) for words in commands] == [
        *(("pipeline", False), ("inference", False)),
        *(("pipeline", True), ("inference", True)),
    ]


@pytest.mark.parametrize(("bfloat16", "precision"), [(True, "mixed"), (False, "fp32")])
def test_the_pipeline_runs_on_the_users_data_and_then_inference_with_its_model(
    tmp_path, commands, capsys, monkeypatch, bfloat16, precision
):
    monkeypatch.setattr("frcnn.cpu.has_bfloat16", lambda: bfloat16)
    out, data = tmp_path / "out", kitti_folder(tmp_path / "kitti")
    run_demo(out, data, epochs=5)
    spec, model = str(out / "specs" / "experiment.txt"), out / "run" / "latest" / "retrain" / "model"
    assert commands == [
        (
            *("pipeline", "run", "--spec", spec, "--convert_spec", str(out / "specs" / "convert.txt")),
            *("--data", str(data), "-o", str(out / "run"), "--retrain_epochs", "2"),
            *(
                "--train_precision",
                precision,
                "--target_params",
                "0.3",
                "--minimum_map",
                "0",
                "--tolerance",
                "1",
            ),
        ),
        ("inference", "-e", spec, "-m", str(model / "model.tlt")),
    ]
    shown = capsys.readouterr().out.splitlines()
    table = [line.split() for line in shown if line.startswith("  ")]
    assert table[:5] == [
        ["trained", "pruned,", "retrained"],
        ["AP", "car", "0.9123", "0.9000"],
        ["AP", "van", "-", "-"],
        ["mAP", "0.9123", "0.9000"],
        ["parameters", "5,000,000", "1,234,567"],
    ]
    assert "2 images held out from training, IoU 0.5:" in shown
    assert shown[-2:] == ["annotated images:", f"  {out / 'annotated' / '003.png'}"]


def test_paths_below_the_working_folder_are_shown_short(tmp_path, commands, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_demo(Path("out"), kitti_folder(tmp_path / "kitti"))
    shown = capsys.readouterr().out
    assert "\nmodel:   out/run/latest/retrain/model/model.tlt\n" in shown
    assert shown.endswith("annotated images:\n  out/annotated/003.png\n")


def test_the_spec_holds_what_the_data_set_holds(tmp_path, commands):
    run_demo(tmp_path / "out", kitti_folder(tmp_path / "kitti", suffix=".JPG"), epochs=3)
    spec = load_experiment(tmp_path / "out" / "specs" / "experiment.txt")
    assert spec.class_names == ("car",)
    assert spec.training_config.num_epochs == 3
    assert spec.dataset_config.image_extension == "jpg"
    size = spec.model_config.input_image_config.size_height_width
    assert (size.height, size.width) == (128, 160)


def test_samples_are_the_images_that_the_pipeline_holds_out(tmp_path, commands):
    from frcnn.data.conversion.convert import convert
    from frcnn.data.records.tfrecord import read_records
    from frcnn.spec import load_dataset_export

    out = tmp_path / "out"
    run_demo(out, kitti_folder(tmp_path / "kitti"))
    convert(
        conversion_settings(load_dataset_export(out / "specs" / "convert.txt")), tmp_path / "records" / "set"
    )
    held_out = {
        record.frame_id.split("/")[-1]
        for file in (tmp_path / "records").glob("set-fold-000-*")
        for record in read_records(file)
    }
    assert len(held_out) == 2
    assert {path.stem for path in (out / "samples").iterdir()} == held_out


def test_a_set_that_is_split_into_folders_keeps_its_split(tmp_path, commands):
    for name, images in (("train", 6), ("val", 3)):
        kitti_folder(tmp_path / "split" / name, images=images)
    run_demo(tmp_path / "out", tmp_path / "split")
    assert {path.name for path in (tmp_path / "out" / "samples").iterdir()} == {
        f"val_00{number}.png" for number in range(3)
    }


def test_a_set_that_is_split_by_lists_keeps_its_split(tmp_path, commands):
    data = kitti_folder(tmp_path / "kitti", images=8)
    (data / "val.txt").write_text("001\n005\n")
    run_demo(tmp_path / "out", data)
    assert {path.name for path in (tmp_path / "out/samples").iterdir()} == {"001.png", "005.png"}
    assert "# Validation: the images of the list val." in (tmp_path / "out/specs/experiment.txt").read_text()
    assert sorted(path.name for path in data.iterdir()) == ["images", "labels", "val.txt"]


def test_a_fifth_is_held_out_of_a_folder_for_training_without_one_for_validation(tmp_path, commands):
    kitti_folder(tmp_path / "split/train", images=10)
    run_demo(tmp_path / "out", tmp_path / "split")
    assert len(list((tmp_path / "out/samples").iterdir())) == 2
    assert commands[0][commands[0].index("--data") + 1] == str(tmp_path / "split/train")


def test_samples_of_an_earlier_run_make_way(tmp_path, commands):
    out, data = tmp_path / "out", kitti_folder(tmp_path / "kitti")
    run_demo(out, data)
    (out / "samples" / "of_the_run_before.png").touch()
    demo._copy_samples([data / "images" / "003.png"], out / "samples")
    assert [path.name for path in (out / "samples").iterdir()] == ["003.png"]


def test_without_data_a_synthetic_set_is_drawn(tmp_path, commands):
    run_demo(tmp_path / "out", None)
    spec = load_experiment(tmp_path / "out" / "specs" / "experiment.txt")
    assert spec.class_names == ("circle", "square", "triangle")
    assert commands[1][-4:] == demo.SYNTHETIC_GATES


def test_the_demo_prints_the_batch_and_the_learning_rate_of_its_spec(tmp_path, commands, capsys):
    run_demo(tmp_path / "synthetic", None)
    run_demo(tmp_path / "own", kitti_folder(tmp_path / "kitti"), epochs=3)
    printed = [line for line in capsys.readouterr().out.splitlines() if " epochs of batch " in line]
    specs = [load_experiment(tmp_path / name / "specs/experiment.txt") for name in ("synthetic", "own")]
    trainings = [spec.training_config for spec in specs]
    assert printed == [
        f"{each.num_epochs} epochs of batch {each.batch_size_per_gpu}, "
        f"learning rate {each.learning_rate.soft_start.base_lr:g}"
        for each in trainings
    ]
    assert printed[0] == "12 epochs of batch 4, learning rate 0.001"


def test_of_many_annotated_images_the_number_is_printed(tmp_path):
    for number in range(8):
        (tmp_path / f"{number}.png").touch()
    (tmp_path / ".hidden").touch()
    assert demo._listed(tmp_path) == [
        "annotated images (5 of 8):",
        *(f"  {tmp_path}/{number}.png" for number in range(5)),
    ]


def test_the_synthetic_set_gets_settings_that_train_in_minutes(tmp_path, commands):
    run_demo(tmp_path / "out", None)
    spec = load_experiment(tmp_path / "out" / "specs" / "experiment.txt")
    assert spec.model_config.roi_mini_batch == 12
    assert spec.model_config.roi_pooling_config.pool_size == 4
    assert spec.training_config.num_epochs == demo.SYNTHETIC_EPOCHS
    size = spec.model_config.input_image_config.size_height_width
    assert (size.height, size.width) == (128, 176)


def test_a_low_map_comes_with_what_to_try_next(tmp_path, commands, capsys, monkeypatch):
    monkeypatch.setitem(globals(), "leave_artifacts", functools.partial(leave_artifacts, retrained=0.1))
    run_demo(tmp_path / "out", kitti_folder(tmp_path / "kitti"))
    assert "mAP is only 0.10. What to try next:" in capsys.readouterr().out


def test_a_folder_with_other_files_is_not_written_to(tmp_path, commands):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    with pytest.raises(UsageError, match=r"holds thesis\.txt, which no demo wrote"):
        run_demo(tmp_path / "out", kitti_folder(tmp_path / "kitti"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(("images", "label_dir"), [("images", "labels"), ("image_2", "label_2")])
def test_layout_knows_both_names_of_the_folders(tmp_path, images, label_dir):
    (tmp_path / images).mkdir()
    (tmp_path / label_dir).mkdir()
    (tmp_path / images / "1.png").touch()
    assert demo.layout(tmp_path) == (images, label_dir, ".png")


def test_images_of_all_extensions_are_used_and_samples_are_copied_under_their_own_names(tmp_path, commands):
    data = kitti_folder(tmp_path / "kitti", images=10, suffix=".JPG")
    for number, suffix in enumerate((".jpg", ".jpeg", ".png", ".PNG")):
        (data / f"images/00{number}.JPG").rename(data / f"images/00{number}{suffix}")
    assert demo.layout(data)[2] == ".jpg"
    run_demo(tmp_path / "out", data)
    samples = {path.name for path in (tmp_path / "out/samples").iterdir()}
    assert len(samples) == 2
    assert samples < {path.name for path in (data / "images").iterdir()}


def test_a_data_set_whose_path_a_spec_cannot_hold_is_refused_in_a_sentence(tmp_path):
    data = kitti_folder(tmp_path / os.fsdecode(b"caf\xe9"))
    with pytest.raises(UsageError, match=r"caf\\xe9: not UTF-8"):
        run_demo(tmp_path / "out", data)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("folders", "message"),
    [([], "no folder images/"), (["images"], "no folder labels/"), (["images", "labels"], "no images found")],
)
def test_a_folder_that_is_no_kitti_data_set_is_explained(tmp_path, folders, message):
    for name in folders:
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=message):
        demo.layout(tmp_path)


@pytest.mark.parametrize("layout", ["yolo", "voc", "coco"])
@pytest.mark.parametrize("part", ["", "train"])
def test_labels_in_another_format_are_refused_with_the_command_that_converts_them(tmp_path, layout, part):
    frcnn.convert_labels(kitti_folder(tmp_path / "kitti"), tmp_path / "other" / part, layout)
    if layout == "coco" and part:
        (tmp_path / "other/train/annotations.json").rename(tmp_path / "other/train.json")
    with pytest.raises(
        UsageError, match=f"convert the labels first: frcnn data labels {tmp_path}/other TARGET"
    ):
        run_demo(tmp_path / "out", tmp_path / "other")
    assert not (tmp_path / "out").exists()


def test_a_missing_data_folder_gets_exit_code_1(tmp_path, capsys):
    assert main(["demo", "--data", str(tmp_path / "gone"), "-o", str(tmp_path / "out")]) == 1
    assert "gone: no such folder. Expected a folder with images/ and labels/" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_the_pipeline_the_demo_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("frcnn.cli.tasks.importlib.metadata.entry_points", lambda group: ())
    assert main(["demo", "-o", str(tmp_path / "out")]) == 1
    assert "frcnn demo runs frcnn pipeline, which comes with: pip install frcnn-pipelines" in (
        capsys.readouterr().err
    )
    assert main(["pipeline", "run"]) == 2
    assert "it comes with: pip install frcnn-pipelines" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_too_few_images_are_refused_before_anything_is_written(tmp_path, commands):
    with pytest.raises(DataError, match="only 4 images; expected 5 or more, as a fifth is held out"):
        run_demo(tmp_path / "out", kitti_folder(tmp_path / "kitti", images=4))
    assert not (tmp_path / "out").exists()
    run_demo(tmp_path / "out", kitti_folder(tmp_path / "kitti", images=5))
    assert len(list((tmp_path / "out" / "samples").iterdir())) == 1


def test_no_epochs_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="--epochs 0: expected 1 or more"):
        run_demo(tmp_path, None, epochs=0)


def test_a_pipeline_that_left_no_model_is_an_error(tmp_path):
    with pytest.raises(RunError, match="the pipeline did not write a model"):
        demo._model(Paths(tmp_path, tmp_path))


@pytest.mark.parametrize(("images", "epochs"), [(20, 60), (240, 25), (100_000, 8)])
def test_epochs_follow_the_size_of_the_data_set(images, epochs):
    assert demo.default_epochs(images) == epochs
