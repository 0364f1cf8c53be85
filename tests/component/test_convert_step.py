"""The convert step as a container runs it: flags in, artifact and executor output out; exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

from frcnn.data.records.tfrecord import read_records
from frcnn.spec import load_experiment
from tests.pipeline.tiny import HEIGHT, WIDTH, write_data

ROOT = Path(__file__).parents[2]


def executor_input(folder):
    artifact = {
        name: {"artifacts": [{"name": name, "uri": f"{folder}/{name}", "metadata": {}}]}
        for name in ("records", "metrics")
    }
    return {"outputs": {"artifacts": artifact, "outputFile": f"{folder}/executor_output.json"}}


def run(*words, check_modules="pass", temporary="/tmp"):
    path = os.pathsep.join([str(ROOT / "shared" / "src"), str(ROOT)])
    code = f"import sys; from components.convert.main import main; c = main(); {check_modules}; sys.exit(c)"
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(temporary)},
    )


def test_a_folder_without_a_spec_becomes_records_with_a_fold_held_out_and_no_tensorflow(tmp_path):
    data = write_data(tmp_path / "data", images=10)
    done = run(
        "--data", data, "--records", tmp_path / "records", "--data-version", "v1",
        "--page", tmp_path / "page.html", "--executor-input", json.dumps(executor_input(tmp_path)),
        check_modules="assert 'tensorflow' not in sys.modules",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "records").iterdir())
    assert [name for name in names if "fold-000-of-002" in name]
    assert [name for name in names if "fold-001-of-002" in name]
    answer = json.loads((tmp_path / "executor_output.json").read_text())["artifacts"]
    assert answer["metrics"]["artifacts"][0]["metadata"]["images"] == 10
    assert answer["records"]["artifacts"][0]["metadata"]["data_version"] == "v1"
    page = (tmp_path / "page.html").read_text()
    assert "<h1>Data report</h1>" in page and "fold 0" in page and "data:image/jpeg" in page


def test_folders_for_training_and_validation_become_the_folds_and_leave_nothing_else(tmp_path):
    data, temporary = tmp_path / "data", tmp_path / "temporary"
    temporary.mkdir()
    for part, images in (("train", 6), ("val", 2)):
        write_data(data / part, images=images)
    (data / "train/images/000003.jpg").write_bytes(b"no image")
    page = tmp_path / "page.html"
    done = run("--data", data, "--records", tmp_path / "records", "--page", page, temporary=temporary)
    assert done.returncode == 0, done.stderr
    sizes = {
        fold: sum(len(list(read_records(path))) for path in (tmp_path / "records").glob(f"set-fold-{fold}-*"))
        for fold in ("000", "001")
    }
    assert sizes == {"000": 2, "001": 5}
    assert "Validation images: the images of val/." in done.stderr
    assert "train_000003.jpg" in page.read_text()  # the broken image
    assert list(temporary.iterdir()) == []


def test_a_missing_folder_is_an_error_that_names_it_and_leaves_no_answer(tmp_path):
    done = run(
        "--data", tmp_path / "nowhere", "--records", tmp_path / "records",
        "--executor-input", json.dumps(executor_input(tmp_path)),
    )  # fmt: skip
    assert done.returncode == 1
    assert f"--data {tmp_path / 'nowhere'}: no such folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "executor_output.json").exists()


def test_a_faulty_conversion_spec_is_a_usage_error_with_line_and_column(tmp_path):
    data = write_data(tmp_path / "data", images=2)
    done = run(
        "--data", data, "--records", tmp_path / "records", "--convert-spec", "kitti_config { what: 1 }"
    )
    assert done.returncode == 2
    assert "1:16" in done.stderr


def test_exif_is_applied_to_records_page_and_suggested_spec_on_request(tmp_path):
    data = write_data(tmp_path / "data", images=10)
    for path in sorted((data / "images").iterdir()):
        exif = Image.Exif()
        exif[0x0112] = 6  # viewers turn the stored picture clockwise by 90 degrees
        with Image.open(path) as image:
            image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    for given, sizes in (("false", {(WIDTH, HEIGHT)}), ("True", {(HEIGHT, WIDTH)})):
        records = tmp_path / given
        page = tmp_path / "page.html"
        done = run("--data", data, "--records", records, "--page", page, "--apply-exif", given)
        assert done.returncode == 0, done.stderr
        found = [record for path in sorted(records.glob("set-*")) for record in read_records(path)]
        assert {(record.height, record.width) for record in found} == sizes
        assert len(found) == 10
        ((height, width),) = sizes
        assert f"{width} x {height} (10)" in page.read_text()
        input_size = load_experiment(records / "suggested_spec.txt").model_config.input_image_config
        assert input_size.size_height_width.width / input_size.size_height_width.height == width / height
