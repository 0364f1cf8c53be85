"""The model in use on S3: read before it is replaced, and only replaced as a whole."""

import json
from pathlib import Path

import pytest

from components.compare import main as compare
from components.publish import main as publish
from frcnn.errors import DataError
from frcnn.steps.publishing import published_map


@pytest.fixture(autouse=True)
def environment(server, monkeypatch):
    for name, value in {**server.environment(), "S3_PATIENCE_SECONDS": "30"}.items():
        monkeypatch.setenv(name, value)


def publish_model(folder: Path, mean_ap: float, place: str) -> int:
    for name, files in (("exported", {"model.onnx": f"net {mean_ap}"}), ("report", {"metrics.json": "{}"})):
        (folder / name).mkdir(parents=True)
        for file, text in files.items():
            (folder / name / file).write_text(text)
    (folder / "report" / "metrics.json").write_text(json.dumps({"mAP": mean_ap}))
    words = ("--exported", folder / "exported", "--report", folder / "report", "--published", place)
    return publish.main([str(word) for word in words])


def test_nothing_is_published_yet(uri):
    assert published_map(uri) is None


def test_a_model_is_replaced_with_its_metrics(uri, store, tmp_path):
    for number, mean_ap in enumerate((0.5, 0.75)):
        assert publish_model(tmp_path / str(number), mean_ap, uri) == 0
        assert published_map(uri) == mean_ap
    store.fetch(uri, tmp_path / "back")
    assert (tmp_path / "back" / "model.onnx").read_text() == "net 0.75"


@pytest.mark.parametrize(("mean_ap", "passed"), [("0.5", "true"), ("0.49", "false")])
def test_the_comparison_reads_it_from_there(uri, tmp_path, mean_ap, passed):
    assert publish_model(tmp_path / "model", 0.5, uri) == 0
    words = ("--mean-ap", mean_ap, "--published", uri, "--passed", str(tmp_path / "passed"))
    assert compare.main(list(words)) == 0
    assert (tmp_path / "passed").read_text() == passed


def test_something_else_at_that_place_is_not_taken_for_a_model(uri, store, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "image.jpg").write_bytes(b"jpeg")
    store.publish(tmp_path / "data", uri)
    with pytest.raises(DataError, match=r"contains no metrics\.json with a mAP"):
        published_map(uri)


def test_keys_that_may_only_read_are_refused_and_the_model_stays(uri, server, tmp_path, monkeypatch, capsys):
    assert publish_model(tmp_path / "first", 0.5, uri) == 0
    for name, value in server.environment("reader").items():
        monkeypatch.setenv(name, value)
    assert publish_model(tmp_path / "second", 0.9, uri) == 1
    assert uri in capsys.readouterr().err
    assert published_map(uri) == 0.5
