"""The gate before publishing, as the steps' scripts run it: equal is good enough, worse is not."""

import json

import pytest

from components.compare import main as compare
from components.publish import main as publish


def verdict(tmp_path, mean_ap, *words):
    passed = tmp_path / "passed"
    assert compare.main(["--mean-ap", str(mean_ap), "--passed", str(passed), *map(str, words)]) == 0
    return passed.read_text()


@pytest.fixture
def place(tmp_path):
    """A model of mAP 1/3 is published there."""
    for folder, files in (
        ("exported", {"model.onnx": "net"}),
        ("report", {"metrics.json": json.dumps({"mAP": 1 / 3})}),
    ):
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)
    words = ("--exported", tmp_path / "exported", "--report", tmp_path / "report")
    assert publish.main([*map(str, words), "--published", str(tmp_path / "in_use")]) == 0
    return tmp_path / "in_use"


def test_without_a_place_nothing_is_published(tmp_path):
    assert verdict(tmp_path, 0.9) == "false"


def test_the_first_model_is_published(tmp_path):
    assert verdict(tmp_path, 0.1, "--published", tmp_path / "in_use") == "true"


@pytest.mark.parametrize(
    ("mean_ap", "tolerance", "passed"),
    [(1 / 3, 0.0, "true"), (0.34, 0.0, "true"), (0.33, 0.0, "false"), (0.33, 0.01, "true")],
)
def test_as_good_as_the_published_model_is_good_enough(tmp_path, place, mean_ap, tolerance, passed):
    assert verdict(tmp_path, mean_ap, "--published", place, "--tolerance", tolerance) == passed


def test_a_folder_that_holds_no_model_is_an_error_that_names_it(tmp_path, capsys):
    (tmp_path / "other").mkdir()
    assert compare.main(["--mean-ap", "0.5", "--published", str(tmp_path / "other")]) == 1
    assert f"{tmp_path / 'other'} contains no metrics.json" in capsys.readouterr().err


@pytest.mark.parametrize("uri", ["gs://models/kitti", "abfs://c/kitti"])
def test_a_place_on_another_kind_of_store_is_refused_since_it_would_be_lost_with_the_pod(
    uri, tmp_path, place, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert compare.main(["--mean-ap", "0.5", "--published", uri]) == 2
    words = ("--exported", tmp_path / "exported", "--report", tmp_path / "report", "--published", uri)
    assert publish.main([*map(str, words)]) == 2
    assert (
        f"--published {uri}: unsupported URI; expected s3://bucket/prefix or a folder"
        in capsys.readouterr().err
    )
    assert not (tmp_path / uri.partition(":")[0]).exists() and not list(tmp_path.glob("*:*"))


def test_blanks_around_a_place_are_not_part_of_it(tmp_path, place):
    assert verdict(tmp_path, 0.3, "--published", f" {place}\n") == "false"
