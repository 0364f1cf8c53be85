"""Files of other people's folders: whatever lies there, reading it ends."""

import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from frcnn.regular_file import NotRegularError, open_regular, read_regular


def _pipe(path):
    os.mkfifo(path)


def _socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (_pipe, "a named pipe"),
        (_socket, "a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (lambda path: path.mkdir(), "a folder"),
    ],
)
def test_what_is_no_regular_file_is_refused_by_name_at_once(tmp_path, monkeypatch, make, kind):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    path = tmp_path.relative_to(tmp_path) / "odd"
    make(path)
    with pytest.raises(NotRegularError) as caught:
        open_regular(path)
    assert caught.value.strerror == f"{kind}, not a regular file"


def test_links_count_as_what_they_lead_to(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "nowhere").symlink_to("gone")
    assert read_regular(tmp_path / "link", 3) == b"abc"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nowhere")


def test_a_file_over_the_limit_is_refused_before_it_is_read_whole(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # a terabyte of nothing
    with pytest.raises(NotRegularError, match="larger than 1 MiB"):
        read_regular(path, 1 << 20)


@pytest.mark.parametrize("limit", [1, 3 << 20, 64 << 20])
def test_a_file_within_the_limit_is_read_whole_whatever_the_limit(tmp_path, limit):
    content = os.urandom(min(limit, 2_500_000))
    (tmp_path / "a").write_bytes(content)
    assert read_regular(tmp_path / "a", limit) == content


def test_a_file_without_a_size_is_read_to_its_end():
    """Files of /proc have size 0, and give at most a page at a time."""
    status = Path("/proc/self/smaps")
    assert status.stat().st_size == 0
    assert read_regular(status, 16 << 20).count(b"VmFlags") > 100


def test_a_small_file_takes_little_memory_under_a_large_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    tracemalloc.start()
    try:
        read_regular(tmp_path / "a", 256 << 20)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
