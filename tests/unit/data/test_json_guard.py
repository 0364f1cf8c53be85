"""JSON from outside: what is harmless passes unchanged, what is hostile ends in a sentence."""

import json
import tracemalloc

import ijson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frcnn.data import json_guard
from frcnn.data.json_guard import GuardedJson
from frcnn.errors import DataError

TEXTS = st.text(st.sampled_from('a"\\[]{}NaN -Infinity,:\n'), max_size=30)
VALUES = st.recursive(
    st.none() | st.floats() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def read_all(path, size, **options):
    parts = []
    with GuardedJson(path, **options) as stream:
        while part := stream.read(size):
            parts.append(part)
    return b"".join(parts)


def without_nan(value):
    if isinstance(value, list):
        return [without_nan(each) for each in value]
    if isinstance(value, dict):
        return {key: without_nan(each) for key, each in value.items()}
    return None if isinstance(value, float) and (value != value or abs(value) == float("inf")) else value


@settings(max_examples=200, deadline=None)
@given(value=st.lists(VALUES, max_size=5), size=st.integers(1, 40))
def test_any_document_in_pieces_of_any_size_keeps_its_meaning(tmp_path_factory, value, size):
    path = tmp_path_factory.mktemp("json") / "a.json"
    text = json.dumps(value)
    path.write_text(text)
    assert read_all(path, size) == text.encode()
    assert json.loads(read_all(path, size, without_nan=True)) == without_nan(value)


def test_a_byte_order_mark_is_left_out(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert read_all(path, 100) == b"[1]"


@pytest.mark.parametrize("size", [7, 65536])
@pytest.mark.parametrize("opening", ["[", '{"a":', '[1,{"x":"]]}}\\"]","b":'])
def test_a_document_nested_too_deeply_is_refused_in_flat_memory(tmp_path, opening, size):
    path = tmp_path / "deep.json"
    path.write_text('{"images":[' + opening * 200_000)
    tracemalloc.start()
    with pytest.raises(DataError, match="nested more than 64 levels deep"), GuardedJson(path) as stream:
        for _ in ijson.items(_Small(stream, size), "images.item"):
            pass
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


class _Small:
    def __init__(self, stream, size):
        self._stream, self._size = stream, size

    def read(self, size=-1):
        return self._stream.read(min(size, self._size) if size >= 0 else self._size)


@pytest.mark.parametrize("start", ['{"images":["', '{"images":[1', '{"images":[[1,2,', '{"x":1'])
def test_one_element_that_fills_the_memory_is_refused(tmp_path, monkeypatch, start):
    monkeypatch.setattr(json_guard, "LARGEST_ELEMENT", 1 << 20)
    path = tmp_path / "large.json"
    path.write_text(start + "1" * (3 << 20) + '"]}')
    with pytest.raises(DataError, match="one element takes more than 1 MiB"):
        read_all(path, 65536)


def test_many_elements_may_be_larger_than_that_together(tmp_path, monkeypatch):
    monkeypatch.setattr(json_guard, "LARGEST_ELEMENT", 1 << 20)
    path = tmp_path / "many.json"
    path.write_text(json.dumps({"annotations": [{"segmentation": [[1.5] * 100]}] * 10_000}))
    assert len(read_all(path, 65536)) == path.stat().st_size > 4 << 20
