"""`frcnn augment preview`: one picture, and clear refusals."""

import numpy as np
import pytest
from PIL import Image

from frcnn.cli.main import main
from tests.support.loading import image_record, noise_image, write_records
from tests.support.task_spec import write_spec


@pytest.fixture
def spec(tmp_path):
    records = [image_record(number, pixels=noise_image(number, 128, 160)) for number in range(2)]
    write_records(tmp_path / "records/set-fold-001-of-002", records)
    path = write_spec(tmp_path / "spec.txt", records=f"{tmp_path}/records/*")
    path.write_text(
        path.read_text().replace("training_config {", "training_config { enable_augmentation: false")
    )
    return path


def preview(spec, *words):
    return main(["augment", "preview", "-e", str(spec), "-o", str(spec.parent / "out"), *words])


def test_a_contact_sheet_is_written(spec, capsys):
    assert preview(spec, "--num_images", "2", "--num_variants", "3") == 0
    shown = capsys.readouterr().out
    assert "out/augmentation.png" in shown
    assert "enable_augmentation is false" in shown
    sheet = np.asarray(Image.open(spec.parent / "out/augmentation.png"))
    assert sheet.shape[1] > 4 * 160
    assert sheet.shape[0] > 2 * 128


def test_missing_records_are_named(spec, capsys):
    (spec.parent / "records/set-fold-001-of-002").unlink()
    assert preview(spec) == 1
    assert "matches no file" in capsys.readouterr().err
    assert not (spec.parent / "out").exists()


def test_an_output_folder_that_cannot_be_is_said_before_anything_is_loaded(spec, capsys):
    (spec.parent / "out").symlink_to("nowhere")
    (spec.parent / "records/set-fold-001-of-002").unlink()  # which would be said later
    assert preview(spec) == 2
    said = capsys.readouterr().err
    assert "--output_dir" in said and f"{spec.parent}/out is a broken link; expected a folder" in said


def test_a_count_of_nothing_is_wrong_usage(spec, capsys):
    with pytest.raises(SystemExit) as ended:
        preview(spec, "--num_images", "0")
    assert ended.value.code == 2
    assert "expected 1 or more" in capsys.readouterr().err
