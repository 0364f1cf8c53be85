import json

import pytest

from frcnn.cli.main import main
from tests.support.image_folders import PatchDetector, picture, save
from tests.support.task_spec import write_spec


@pytest.fixture
def loaded(monkeypatch):
    """Records the calls of the model loader, which returns a fake detector."""
    calls = []

    def load(path, expected, key, on_record):
        calls.append((path.name, str(key), expected.section.removesuffix("_config")))
        return PatchDetector()

    monkeypatch.setattr("frcnn.model.files.trained_detector.load_detector", load)
    return calls


@pytest.fixture
def data(tmp_path):
    save(tmp_path / "images/a.png", picture((16, 24, 48, 72)))
    save(tmp_path / "images/sub/b.jpg", picture((16, 24, 48, 72)))
    (tmp_path / "model.keras").touch()
    return tmp_path


def run(data, *words, images="images", inference=""):
    fields = (
        f'images_dir: "{data}/{images}" model: "{data}/model.keras" bbox_visualize_threshold: 0.5 {inference}'
    )
    spec = write_spec(data / "spec.txt", inference=fields)
    return main(["inference", "-e", str(spec), *map(str, words)])


def outputs(data):
    return f'detection_image_output_dir: "{data}/drawn" labels_dump_dir: "{data}/labels"'


def test_the_two_output_folders_and_the_counts_are_printed(data, loaded, capsys):
    assert run(data, "-k", "secret", inference=outputs(data)) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown == [
        "images: 2; found: 0 car, 2 person (score >= 0.5)",
        f"annotated images: {data}/drawn",
        f"labels: {data}/labels",
        "Execution status: PASS",
    ]
    assert (data / "drawn/sub/b.jpg").is_file()
    assert len((data / "labels/sub/b.txt").read_text().split()) == 16
    assert loaded == [("model.keras", "secret", "inference")]


def test_a_results_folder_holds_status_and_what_has_no_folder_of_its_own(data, loaded):
    assert run(data, "-r", data / "results") == 0
    assert (data / "results/images_annotated/a.png").is_file()
    assert (data / "results/labels/a.txt").is_file()
    last = json.loads((data / "results/status.json").read_text().splitlines()[-1])
    assert last["kpi"] == {"num_images": 2, "num_images_skipped": 0}
    assert last["categorical"] == {"num_objects": {"car": 0, "person": 2}}


def test_captions_can_be_switched_on_and_off_by_flag(data, loaded):
    pictures = []
    for words in [("--captions",), ("--no-captions",), ()]:
        assert run(data, *words, inference=f"bbox_caption_on: true {outputs(data)}") == 0
        pictures.append((data / "drawn/a.png").read_bytes())
    assert pictures[0] != pictures[1]
    assert pictures[0] == pictures[2]


def test_an_unreadable_file_is_listed_and_the_run_passes(data, loaded, capsys):
    (data / "images/broken.png").write_text("no image")
    assert run(data, inference=outputs(data)) == 0
    shown = capsys.readouterr().out
    assert "could not be read and were skipped: 1\n" in shown
    assert f"  {data}/images/broken.png: " in shown


def test_an_unreadable_file_fails_a_strict_run(data, loaded):
    (data / "images/broken.png").write_text("no image")
    assert run(data, "--strict", inference=outputs(data)) == 1


def test_an_empty_folder_fails_before_the_model_is_loaded(data, loaded, capsys):
    (data / "empty").mkdir()
    assert run(data, images="empty", inference=outputs(data)) == 1
    assert "no image found" in capsys.readouterr().err
    assert loaded == []


def test_missing_folders_are_faults_of_the_spec(data, loaded, capsys):
    assert run(data, images="gone") == 2
    shown = capsys.readouterr().err
    assert "inference_config.images_dir" in shown
    assert (
        "inference_config.labels_dump_dir: not set; name a folder, or set a results folder for all outputs"
        in shown
    )


def test_another_folder_and_threshold_stand_for_the_fields_of_the_spec(data, loaded, capsys):
    save(data / "others/c.png", picture((16, 24, 48, 72)))
    assert run(data, "-r", data / "results", "--images", data / "others", "--threshold", "0.95") == 0
    shown = capsys.readouterr().out
    assert (
        "images: 1; found: 0 car, 0 person (score >= 0.95)\nnothing reaches this score; a lower --threshold"
        in shown
    )
    assert [path.name for path in (data / "results/images_annotated").rglob("*.png")] == ["c.png"]


def test_one_image_is_enough(data, loaded, capsys):
    assert run(data, "-r", data / "results", "--images", data / "images/sub/b.jpg") == 0
    shown = capsys.readouterr().out
    assert "images: 1; found: 0 car, 1 person" in shown and "nothing reaches" not in shown
    assert [path.name for path in (data / "results/labels").rglob("*.txt")] == ["b.txt"]


def test_a_video_is_refused_before_the_model_is_read(data, loaded, capsys):
    (data / "clip.MP4").write_bytes(b"frames")
    assert run(data, "-r", data / "results", "--images", data / "clip.MP4") == 2
    assert (
        "clip.MP4: is a video, which this command does not read; extract its frames"
        in capsys.readouterr().err
    )
    assert loaded == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--images", "nowhere"], "--images nowhere: no such file or folder"),
        (["--threshold", "1.5"], "bbox_visualize_threshold: found 1.5; expected a number in (0, 1) (--set"),
    ],
)
def test_flags_that_cannot_be_right_are_refused_as_the_field_is(data, loaded, capsys, words, told):
    assert run(data, "-r", data / "results", *words) == 2
    assert told in capsys.readouterr().err
    assert loaded == []
