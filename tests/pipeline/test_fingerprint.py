"""A data set's fingerprint sees every file that a step would read, and ends on whatever else is there."""

import os

import pytest

from pipelines.local.fingerprint import of_data


@pytest.fixture
def data(tmp_path):
    for name in ("real/images/a.jpg", "real/labels/a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "set").mkdir()
    for name in ("images", "labels"):
        (tmp_path / "set" / name).symlink_to(f"../real/{name}")
    return tmp_path / "set"


def test_a_change_behind_a_link_is_seen(data):
    before = of_data(data)
    assert of_data(data) == before
    (data / "labels/a.txt").write_text("xx")
    assert of_data(data) != before


def test_links_in_a_circle_to_nowhere_pipes_and_odd_names_are_no_trouble(data):
    before = of_data(data)
    (data / "images/back").symlink_to(data)
    (data / "nowhere").symlink_to("gone")
    os.mkfifo(data / "pipe")
    (data / os.fsdecode(b"caf\xe9\n")).write_text("x")
    after = of_data(data)
    assert after != before
    (data / "gone").write_text("there now")
    assert of_data(data) != after
