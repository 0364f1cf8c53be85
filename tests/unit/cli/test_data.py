"""`frcnn data` and `frcnn spec new`: output and exit codes."""

import os

import pytest

from frcnn.cli.main import main
from tests.support.kitti_folder import CAR, PEDESTRIAN, write_kitti


@pytest.fixture
def kitti(tmp_path):
    return write_kitti(tmp_path / "kitti", {f"{n:03d}": [CAR, PEDESTRIAN] for n in range(6)} | {"bad": ["x"]})


def test_the_report_prints_counts_and_findings(kitti, tmp_path, capsys):
    assert main(["data", "report", str(kitti), "-o", str(tmp_path / "out"), "--compare", "0"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:3] == ["7 images, 12 objects:", "  car: 6", "  pedestrian: 6"]
    assert shown[-1] == f"report: {tmp_path / 'out/report.html'}"
    assert any(line.startswith("warning: 1 x label line without 15 fields") for line in shown)


def test_new_specs_are_listed_with_the_commands_that_use_them(kitti, tmp_path, capsys):
    assert main(["spec", "new", "--data", str(kitti), "-o", str(tmp_path / "out"), "--goal", "edge"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert f"wrote {tmp_path / 'out/experiment.txt'}" in shown
    assert shown[-2].startswith("frcnn train -e ")
    assert (
        main(["spec", "check", str(tmp_path / "out/experiment.txt"), str(tmp_path / "out/convert.txt")]) == 0
    )


def test_labels_are_converted_and_losses_printed(kitti, tmp_path, capsys):
    assert main(["data", "labels", str(kitti), str(tmp_path / "coco"), "--to", "coco"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"7 images, 12 objects: {tmp_path / 'coco'} (coco)"
    assert "lost: 6 objects: truncation" in shown
    assert "skipped: 1 x label line without 15 fields (box)" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data", "report", "SET"], "the following arguments are required: -o"),
        (["data", "report", "SET", "-o", "OUT", "--set", "a=1"], "--set needs -e"),
        (["data", "report", "SET", "-o", "OUT", "--compare", "-1"], "compare -1: expected 0 or more"),
        (["data", "report", "missing", "-o", "OUT"], "missing: no such file or folder; expected"),
        (["data", "report", "PIPE", "-o", "OUT"], "neither a folder nor a regular file; expected"),
        (["data", "report", "SET", "-o", "PIPE/out"], "pipe is a file; expected a folder"),
        (["spec", "new", "--data", "SET", "-o", "PIPE/out"], "pipe is a file; expected a folder"),
        (
            ["spec", "new", "--data", "SET", "-o", "OUT", "--epochs", "0"],
            "--num_epochs 0: expected 1",
        ),
        (["data", "report", "SET", "-o", "s3://b/out"], "outputs go to a local path"),
        (["data", "labels", "SET", "PIPE/out", "--to", "voc"], "pipe is a file; expected a folder"),
        (["data", "labels", "SET", "OUT"], "the following arguments are required: --to"),
        (["data", "labels", "SET", "OUT", "--to", "coco", "--from", "coco"], "found kitti labels, not coco"),
        (["data", "labels", "SET", "OUT", "--to", "xml"], "invalid choice: 'xml'"),
        (["spec", "new", "-o", "OUT"], "the following arguments are required: --data"),
        (["data", "zebra", "SET"], "unknown task 'data zebra'; tasks: data report, data labels ("),
        (["data", "convert", "SET"], "unknown task 'data convert'; did you mean 'data labels'?"),
        (["data", "repot", "SET"], "unknown task 'data repot'; did you mean 'data report'?"),
        (["data"], "'data' alone is not a task; expected data report or data labels"),
        (["spec", "newer"], "invalid choice: 'newer'"),
    ],
)
def test_wrong_words_end_with_code_2_and_one_sentence(kitti, tmp_path, capfd, words, message):
    os.mkfifo(tmp_path / "pipe")
    places = {"SET": str(kitti), "OUT": str(tmp_path / "out"), "PIPE": str(tmp_path / "pipe")}
    words = [places[word] if word in places else word.replace("PIPE", places["PIPE"]) for word in words]
    assert code_of(words) == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def code_of(words):
    try:
        return main(words)
    except SystemExit as ended:
        return ended.code


def test_help_knows_names_of_two_words(capsys):
    assert code_of(["help", "data", "report"]) == 0
    assert "usage: frcnn data report" in capsys.readouterr().out
    assert code_of(["help", "spec"]) == 0
    assert "usage: frcnn spec " in capsys.readouterr().out


@pytest.mark.parametrize("words", [["help", "data"], ["data", "--help"], ["data", "-h"]])
def test_help_on_the_first_of_two_words_lists_what_can_follow(words, capsys):
    assert code_of(words) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: frcnn data <action> [flags]\n")
    assert "  data report  show what is in a data set\n  data labels  convert labels" in printed
    assert "'frcnn data report --help' lists" in printed


@pytest.mark.parametrize(("target", "said"), [("yolo", 1), ("voc", 0)])
def test_labels_of_yolo_say_that_training_and_validation_have_the_same_images(
    kitti, tmp_path, capsys, target, said
):
    assert code_of(["data", "labels", str(kitti), str(tmp_path / "out"), "--to", target]) == 0
    assert capsys.readouterr().out.count("train and val are the same images") == said
