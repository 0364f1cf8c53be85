from pathlib import Path

import pytest

from frcnn.data.image_files import find_images, label_files
from frcnn.errors import DataError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names_in(root, **options):
    return [path.as_posix() for path in find_images(root, **options)]


def test_images_of_all_sub_folders_are_found_in_a_fixed_order(tmp_path):
    touch(tmp_path, "b.jpg", "a.JPG", "sub/deep/c.Jpeg", "sub/d.png", "notes.txt", "sub/e.gif")
    assert names_in(tmp_path) == ["a.JPG", "b.jpg", "sub/d.png", "sub/deep/c.Jpeg"]


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    touch(tmp_path, "a.jpg", "._a.jpg", ".cache/b.jpg")
    assert names_in(tmp_path) == ["a.jpg"]


def test_the_output_folder_inside_the_input_folder_is_left_out(tmp_path):
    touch(tmp_path, "a.jpg", "found/a.jpg", "other/b.jpg")
    assert names_in(tmp_path, leave_out=[tmp_path / "found"]) == ["a.jpg", "other/b.jpg"]


def test_linked_folders_are_entered_once(tmp_path):
    touch(tmp_path, "images/a.jpg", "elsewhere/b.jpg")
    (tmp_path / "images" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "images")
    assert names_in(tmp_path / "images") == ["a.jpg", "link/b.jpg"]


def test_an_empty_folder_is_an_error_that_says_what_was_looked_for(tmp_path):
    touch(tmp_path, "a.gif", "b.txt")
    with pytest.raises(DataError, match=r"no image found .*\.png.*2 files of other types"):
        find_images(tmp_path)


def test_a_label_file_is_named_after_its_image():
    assert label_files([Path("a.jpg"), Path("sub/a.jpg")]) == [Path("a.txt"), Path("sub/a.txt")]


def test_images_with_one_stem_do_not_share_a_label_file():
    assert label_files([Path("a.jpg"), Path("a.png")]) == [Path("a.txt"), Path("a.png.txt")]
