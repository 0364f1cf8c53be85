"""Rule for the image files of a set: one table, compared with everything that lists images."""

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frcnn.cli.demo import layout
from frcnn.data.conversion.kitti.plan import list_images
from frcnn.data.image_files import find_images
from frcnn.data.image_suffixes import (
    extension_spellings,
    image_names,
    image_paths,
    is_below,
    is_image_name,
    preferred_first,
)

LONG = "a" * 246 + ".jpg"  # 250 bytes
CHINESE = "图" * 82 + ".jpg"
LATIN = os.fsdecode(b"caf\xe9.jpg")
NAMES = {
    "a.jpg": True,
    "b.JPG": True,
    "c.Jpeg": True,
    "d.jpeg": True,
    "e.PNG": True,
    "f.png": True,
    "g.v1.png": True,
    "no space.jpg": True,
    "line\nbreak.jpg": True,
    "[x]$_.png": True,
    LATIN: True,
    LONG: True,
    CHINESE: True,
    "h.jpg.txt": False,
    "i.gif": False,
    "j.jpgx": False,
    "jpg": False,
    ".jpg": False,
    "._a.jpg": False,  # macOS writes these beside each file
    ".hidden.png": False,
}


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "images"
    place.mkdir()
    (tmp_path / "labels").mkdir()
    for name in NAMES:
        (place / name).touch()
    return place


def test_everything_that_lists_images_goes_by_the_same_table(folder):
    expected = sorted(name for name, is_image in NAMES.items() if is_image)
    assert [name for name in NAMES if is_image_name(name)] == [name for name in NAMES if NAMES[name]]
    assert image_names(folder) == expected
    assert sorted(list_images(folder, ".png")[0].values()) == expected
    assert [str(path) for path in find_images(folder)] == expected
    assert layout(folder.parent) == ("images", "labels", ".jpg")


def test_what_only_has_the_name_of_an_image_is_listed_to_be_named_as_unusable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.jpg")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "nowhere.png").symlink_to("gone")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
    expected = ["folder.jpg", "nowhere.png", "pipe.jpg", "socket.jpg", "zero.png"]
    assert image_names(tmp_path) == expected
    # Folders are entered here.
    assert [str(path) for path in find_images(tmp_path)] == expected[1:]


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        (".png", ["a.png", "a.JPG", "a.jpeg", "a.jpg", "b.jpeg"]),
        ("PNG", ["a.png", "a.JPG", "a.jpeg", "a.jpg", "b.jpeg"]),
        (".jpg", ["a.JPG", "a.jpg", "a.jpeg", "a.png", "b.jpeg"]),
        ("jpeg", ["a.jpeg", "a.JPG", "a.jpg", "a.png", "b.jpeg"]),
    ],
)
def test_of_several_with_one_stem_the_named_extension_comes_first(extension, expected):
    assert preferred_first(["b.jpeg", "a.png", "a.jpg", "a.JPG", "a.jpeg"], extension) == expected


def test_a_record_without_a_file_name_is_looked_for_under_every_extension_the_named_one_first(tmp_path):
    spellings = extension_spellings("png")
    assert spellings[:2] == ("png", "PNG")
    assert {"jpg", "JPG", "jpeg", "JPEG"} <= set(spellings)
    named = image_paths(tmp_path, "images/a", "images/a.JpG", spellings)
    assert named[:2] == (tmp_path / "images/a.JpG", tmp_path / "images/a.png")
    assert image_paths(tmp_path, "images/a", "", spellings)[0] == tmp_path / "images/a.png"


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x", "a/../../x", "..", "a/..", "", ".", "./", "a\0b", "/"]
)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, name):
    assert not is_below(name)
    assert image_paths(tmp_path, f"{name}/../x", name, ("png",)) == ()


@given(st.text(st.sampled_from("a./\\\0é"), max_size=12))
def test_a_name_that_is_taken_stays_below_its_folder(name):
    if is_below(name):
        assert os.path.normpath(f"/set/{name}").startswith("/set/")
