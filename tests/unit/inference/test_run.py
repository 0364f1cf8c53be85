import numpy as np
import pytest
from PIL import Image

from frcnn.data.image_files import find_images
from frcnn.errors import DataError
from frcnn.inference import run as run_module
from frcnn.inference.run import run_inference
from frcnn.inference.settings import InferenceSettings
from tests.support.image_folders import PLAIN, PatchDetector, picture, save


def settings_in(root, **changes):
    fields = {
        "images_dir": root / "images",
        "image_output_dir": root / "drawn",
        "label_dir": root / "labels",
        "class_names": ("car", "person"),
        "score_threshold": 0.5,
        "captions": False,
        "batch_size": 2,
    }
    return InferenceSettings(**fields | changes)


def start(settings, **options):
    images = find_images(settings.images_dir, leave_out=[settings.image_output_dir])
    return run_inference(PatchDetector(), images, settings, PLAIN, **options)


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def images(tmp_path):
    save(tmp_path / "images/a.png", picture((16, 24, 48, 72)))
    save(tmp_path / "images/left/b.JPG", picture((16, 24, 48, 72)))
    save(tmp_path / "images/left/c.jpeg", picture(None))
    return tmp_path


def test_outputs_keep_sub_folders_names_and_size(images):
    start(settings_in(images))
    assert files_in(images / "drawn") == ["a.png", "left/b.JPG", "left/c.jpeg"]
    assert files_in(images / "labels") == ["a.txt", "left/b.txt", "left/c.txt"]
    with Image.open(images / "drawn/left/b.JPG") as drawn:
        assert (drawn.format, drawn.size) == ("JPEG", (96, 64))


def test_labels_are_kitti_lines_and_empty_where_nothing_is_found(images):
    start(settings_in(images))
    fields = (images / "labels/a.txt").read_text().split()
    assert (fields[0], len(fields)) == ("person", 16)
    np.testing.assert_allclose([float(field) for field in fields[4:8]], [24, 16, 72, 48], atol=2)
    assert (images / "labels/left/c.txt").read_text() == ""


def test_the_summary_counts_images_and_detections_by_class(images):
    summary = start(settings_in(images))
    assert (summary.images, summary.unreadable) == (3, ())
    assert summary.detections == {"car": 0, "person": 2}
    assert start(settings_in(images, score_threshold=0.2)).detections == {"car": 3, "person": 2}


def test_boxes_are_drawn_and_captions_only_on_request(images):
    start(settings_in(images))
    plain = np.asarray(Image.open(images / "drawn/a.png"))
    start(settings_in(images, captions=True))
    captioned = np.asarray(Image.open(images / "drawn/a.png"))
    assert (plain != picture((16, 24, 48, 72))).any()
    assert (plain != captioned).any()


def test_files_that_were_there_before_stay(images):
    old = save(images / "drawn/old.png", picture(None))
    (images / "drawn/notes.txt").write_text("mine")
    start(settings_in(images))
    assert old.exists()
    assert (images / "drawn/notes.txt").read_text() == "mine"


def test_an_unreadable_file_is_named_and_skipped(images, caplog):
    broken = images / "images/left/broken.png"
    broken.write_text("no image")
    summary = start(settings_in(images))
    assert [each.path for each in summary.unreadable] == [broken]
    assert summary.images == 3
    assert f"{broken}: cannot be read as an image" in caplog.text
    assert "left/broken.txt" not in files_in(images / "labels")


def test_an_unreadable_file_ends_a_strict_run(images):
    (images / "images/broken.png").write_text("no image")
    with pytest.raises(DataError, match=r"broken\.png: cannot be read"):
        start(settings_in(images), strict=True)


def test_a_folder_without_any_readable_image_is_an_error(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_text("no image")
    with pytest.raises(DataError, match="none of the 1 images could be read"):
        start(settings_in(tmp_path))


def test_a_second_run_does_not_look_at_the_first_ones_pictures(images):
    settings = settings_in(images, image_output_dir=images / "images/drawn")
    assert start(settings).images == start(settings).images == 3


def test_an_interrupted_run_leaves_whole_files_only(images, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "kitti_lines", interrupt)
    with pytest.raises(KeyboardInterrupt):
        start(settings_in(images))
    assert files_in(images / "drawn") == ["a.png"]
    with Image.open(images / "drawn/a.png") as drawn:
        drawn.load()
    assert not (images / "labels").exists()
