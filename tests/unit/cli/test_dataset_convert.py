import json

import pytest

from frcnn.cli.main import main
from frcnn.data.records.tfrecord import read_payloads
from tests.support.kitti_folder import CAR, PEDESTRIAN, write_kitti

SPEC = """\
kitti_config {{
  root_directory_path: "{root}"
  image_dir_name: "image_2"
  label_dir_name: "label_2"
  image_extension: ".png"
  partition_mode: "random"
  num_partitions: 2
  num_shards: 1
  val_split: 50
}}
"""


@pytest.fixture
def spec(tmp_path):
    write_kitti(tmp_path / "kitti", {"000": [CAR, "bad line"], "001": [PEDESTRIAN]})
    path = tmp_path / "spec.txt"
    path.write_text(SPEC.format(root=tmp_path / "kitti"))
    return path


@pytest.mark.parametrize("flag", ["-d", "--dataset_export_spec", "--dataset_spec"])
def test_converts_and_shows_what_was_written_and_skipped(tmp_path, spec, capsys, flag):
    assert main(["dataset_convert", flag, str(spec), "-o", str(tmp_path / "out/kitti")]) == 0
    shown = capsys.readouterr().out
    assert "Execution status: PASS" in shown
    assert "2 images in 2 files" in shown
    assert "label line without 15 fields" in shown
    assert str(tmp_path / "out/kitti_warning.json") in shown
    assert "Pedestrian -> pedestrian" in shown
    assert len(list(read_payloads(tmp_path / "out/kitti-fold-001-of-002-shard-00000-of-00001"))) == 1


def test_status_has_the_numbers_of_images_and_objects(tmp_path, spec):
    words = ["-d", str(spec), "-o", str(tmp_path / "out/kitti"), "-r", str(tmp_path / "results")]
    assert main(["dataset_convert", *words]) == 0
    lines = (tmp_path / "results/status.json").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["status"] for record in records] == ["STARTED", "RUNNING", "SUCCESS"]
    assert records[1]["kpi"] == {"num_images": 2, "num_images_skipped": 0, "num_boxes_skipped": 1}
    assert records[1]["categorical"] == {"num_objects": {"car": 1, "pedestrian": 1}}


def test_strict_fails_with_the_fault_named(tmp_path, spec, capsys):
    words = ["-d", str(spec), "-o", str(tmp_path / "out/kitti"), "--strict"]
    assert main(["dataset_convert", *words]) == 1
    captured = capsys.readouterr()
    assert "000.txt:2: label line without 15 fields" in captured.err
    assert "Execution status: FAIL" in captured.out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["kitti_warning.json"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["-d", "{spec}", "-o", "{out}/kitti", "-f", "7"], 2, "validation fold 7"),
        (["-d", "{spec}", "-o", "{out}/kitti", "--workers", "0"], 2, "workers 0"),
        (["-d", "{spec}", "-o", "{images}/kitti"], 2, "its folder is one that the conversion reads"),
        (["-d", "{spec}", "-o", "{images}/../label_2/kitti"], 2, "choose a prefix in another folder"),
        (["-d", "{out}/none.txt", "-o", "{out}/kitti"], 2, "none.txt"),
    ],
)
def test_wrong_usage_has_a_message_and_writes_nothing(tmp_path, spec, capsys, words, code, message):
    images = tmp_path / "kitti/image_2"
    words = [word.format(spec=spec, out=tmp_path / "out", images=images) for word in words]
    assert main(["dataset_convert", *words]) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in images.iterdir()) == ["000.png", "001.png"]


def test_missing_folders_fail_the_run(tmp_path, spec, capsys):
    spec.write_text(spec.read_text().replace("image_2", "image_9"))
    assert main(["dataset_convert", "-d", str(spec), "-o", str(tmp_path / "out/kitti")]) == 1
    assert "image_9: no such folder" in capsys.readouterr().err


def test_demo_data_is_drawn_and_called_synthetic(tmp_path, capsys):
    words = ["-o", str(tmp_path / "demo"), "--images", "2", "--height", "64", "--width", "80"]
    assert main(["demo-data", *words]) == 0
    assert "2 synthetic images" in capsys.readouterr().out
    assert len(list((tmp_path / "demo/images").iterdir())) == 2
