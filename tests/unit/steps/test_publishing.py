"""The published model: replaced as a whole, and only by a pipeline."""

import json

import pytest

from frcnn.errors import DataError, UsageError
from frcnn.steps.publishing import publish, published_map


def model(folder, mean_ap, **files):
    folder.mkdir()
    for name, text in {"metrics.json": json.dumps({"mAP": mean_ap}), **files}.items():
        (folder / name).write_text(text)
    return folder


def test_nothing_is_published_yet(tmp_path):
    assert published_map(str(tmp_path / "in_use")) is None


def test_files_of_all_folders_are_published_together(tmp_path):
    report = model(tmp_path / "report", 0.75)
    exported = tmp_path / "exported"
    (exported / "sub").mkdir(parents=True)
    (exported / "sub" / "model.onnx").write_text("net")
    publish([exported, report], str(tmp_path / "in_use"))
    assert published_map(str(tmp_path / "in_use")) == 0.75
    assert (tmp_path / "in_use" / "sub" / "model.onnx").read_text() == "net"


def test_a_reader_keeps_the_former_version_and_the_one_before_it_goes(tmp_path):
    place = tmp_path / "in_use"
    versions = []
    for number in range(3):
        publish([model(tmp_path / str(number), number / 10)], str(place))
        versions.append(place.resolve())
    assert [path.exists() for path in versions] == [False, True, True]
    assert published_map(str(versions[1])) == 0.1
    assert published_map(str(place)) == 0.2


def test_a_publication_that_fails_leaves_what_was_there(tmp_path):
    place = tmp_path / "in_use"
    publish([model(tmp_path / "a", 0.5)], str(place))
    with pytest.raises(UsageError, match=r"another published folder also contains metrics\.json"):
        publish([model(tmp_path / "b", 0.6), model(tmp_path / "c", 0.7)], str(place))
    assert published_map(str(place)) == 0.5
    assert len(list((tmp_path / ".in_use.versions").iterdir())) == 1


def test_a_folder_of_somebody_elses_is_not_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").touch()
    with pytest.raises(UsageError, match="was not published by a pipeline"):
        publish([model(tmp_path / "a", 0.5)], str(tmp_path / "thesis"))
    with pytest.raises(DataError, match=r"contains no metrics\.json with a mAP"):
        published_map(str(tmp_path / "thesis"))
    assert (tmp_path / "thesis" / "chapter.txt").exists()
