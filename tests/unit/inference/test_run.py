import contextvars
import os

import numpy as np
import pytest
from PIL import Image

from frcnn.data.conversion.stored_image import read_image
from frcnn.data.image_files import find_images
from frcnn.errors import DataError, UsageError
from frcnn.inference import run as run_module
from frcnn.inference.run import run_inference
from frcnn.settings.inference import InferenceSettings
from frcnn.single_writer import PlaceBusyError, only_writer_in
from tests.support.image_folders import PLAIN, PatchDetector, picture, save
from tests.support.large_images import large_jpeg, large_png


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
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("[!.]*") if path.is_file())
    return sorted(found)


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


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "neither JPEG nor PNG, or empty"),
        (b"GIF89a" + bytes(100), "neither JPEG nor PNG, or empty"),
        (large_png(), "too many pixels"),
        (large_jpeg(), "too many pixels"),
    ],
    ids=["empty", "gif", "png", "jpeg"],
)
def test_images_are_refused_for_the_reasons_of_a_conversion(images, content, reason):
    (images / "images/left/broken.png").write_bytes(content)
    (unreadable,) = start(settings_in(images)).unreadable
    assert unreadable.reason == reason
    found = read_image(unreadable.path)
    assert found.reason == reason


def test_an_unreadable_file_ends_a_strict_run(images):
    (images / "images/broken.png").write_text("no image")
    with pytest.raises(DataError, match=r"broken\.png: cannot be read"):
        start(settings_in(images), strict=True)


def test_a_folder_without_any_readable_image_is_an_error(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_text("no image")
    with pytest.raises(DataError, match=r"images/a\.png: none of the 1 images could be read"):
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
    assert files_in(images / "labels") == []


def test_a_second_run_replaces_the_files_of_the_first(images):
    start(settings_in(images))
    (images / "labels/a.txt").write_text("old")
    start(settings_in(images))
    assert (images / "labels/a.txt").read_text().startswith("person ")


@pytest.mark.parametrize("text", ["Car 0 0 0 1 1 9 9 0 0 0 0 0 0 0\n", "", "anything"])
@pytest.mark.parametrize(
    ("folder", "field", "name"),
    [("truth", "label_dir", "left/c.txt"), ("drawn", "image_output_dir", "a.png")],
)
def test_files_that_no_run_wrote_are_never_replaced(images, text, folder, field, name):
    (images / folder / name).parent.mkdir(parents=True)
    (images / folder / name).write_text(text)
    with pytest.raises(UsageError, match=r"exists, and no earlier run of inference wrote to this folder"):
        start(settings_in(images, **{field: images / folder}))
    assert (images / folder / name).read_text() == text
    assert files_in(images / folder) == [name]


def test_originals_are_not_replaced_by_way_of_a_folder_above_them(images):
    before = (images / "images/left/b.JPG").read_bytes()
    settings = settings_in(
        images, images_dir=images / "images/left", image_output_dir=images / "images/left/.."
    )
    (images / "images/b.JPG").write_bytes(before)
    with pytest.raises(UsageError, match=r"b\.JPG exists"):
        start(settings)
    assert (images / "images/b.JPG").read_bytes() == before


def test_pipes_and_devices_among_the_images_are_named_and_skipped_at_once(images, caplog):
    os.mkfifo(images / "images/pipe.jpg")
    (images / "images/zero.png").symlink_to("/dev/zero")
    summary = start(settings_in(images))
    assert summary.images == 3
    assert {(each.path.name, each.reason) for each in summary.unreadable} == {
        ("pipe.jpg", "a named pipe, not a regular file"),
        ("zero.png", "a device, not a regular file"),
    }
    with pytest.raises(DataError, match=r"pipe\.jpg|zero\.png"):
        start(settings_in(images), strict=True)


def test_names_of_any_bytes_and_length_have_their_outputs(images):
    for stem in (os.fsdecode(b"caf\xe9\x1b"), "a" * 246):
        save(images / f"images/{stem}.png", picture((16, 24, 48, 72)))
        save(images / f"images/{stem}.jpg", picture((16, 24, 48, 72)))
    summary = start(settings_in(images))
    assert summary.images == 7
    assert len(list((images / "labels").glob("*.txt"))) == 5
    assert len({path.name for path in (images / "drawn").glob("*")} - {".written_by_frcnn_inference"}) == 6


def test_pictures_are_turned_with_their_boxes_only_if_asked(images):
    turned = images / "images/left/b.JPG"
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = Image.fromarray(picture((16, 24, 48, 72)))
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, "JPEG", exif=exif, quality=95)
    plain = start(settings_in(images))
    with Image.open(images / "drawn/left/b.JPG") as drawn:
        assert drawn.size == upright.size[::-1]
    applied = start(settings_in(images), apply_exif=True)
    assert (plain.turned, applied.turned) == (1, 1)
    with Image.open(images / "drawn/left/b.JPG") as drawn:
        assert drawn.size == upright.size
        assert drawn.getexif().get(0x0112, 1) == 1
    fields = (images / "labels/left/b.txt").read_text().split()
    np.testing.assert_allclose([float(field) for field in fields[4:8]], [24, 16, 72, 48], atol=3)


@pytest.mark.parametrize("folder", ["labels", "drawn"])
def test_a_second_run_into_the_same_folder_is_refused_before_it_writes(images, folder):
    # Another context, such as another thread's, counts as another process.
    with (
        only_writer_in(images / folder, "inference"),
        pytest.raises(PlaceBusyError, match="is writing there"),
    ):
        contextvars.Context().run(start, settings_in(images))
    assert files_in(images / "labels") == files_in(images / "drawn") == []
    start(settings_in(images))
    assert len(files_in(images / "labels")) == 3


def test_labels_and_images_may_share_a_folder(images):
    start(settings_in(images, label_dir=images / "both", image_output_dir=images / "both"))
    assert len(files_in(images / "both")) == 6
