"""Files for training and validation, and messages if there are none."""

import pytest

from frcnn.data.input.sources import files_in_both, training_sources, validation_sources
from frcnn.errors import DataError
from frcnn.settings.data import data_settings
from tests.support.loading import loading_spec, source


@pytest.fixture
def folder(tmp_path):
    for fold in (0, 1, 10):
        for shard in range(2):
            (tmp_path / f"set-fold-{fold:03d}-of-011-shard-{shard:05d}-of-00002").touch()
    (tmp_path / "set_warning.json").touch()
    return tmp_path


def names(found):
    return sorted(path.name[:12] for source in found for path in source.files)


def test_fold_splits_the_files(folder):
    spec = loading_spec(source(folder / "set*"), validation_fold=1)
    assert names(validation_sources(data_settings(spec))) == ["set-fold-001"] * 2
    assert names(training_sources(data_settings(spec))) == ["set-fold-000"] * 2 + ["set-fold-010"] * 2
    assert data_settings(spec).has_validation


def test_fold_zero_is_a_fold(folder):
    spec = loading_spec(source(folder / "set*"), validation_fold=0)
    assert names(validation_sources(data_settings(spec))) == ["set-fold-000"] * 2


def test_separate_validation_source_leaves_all_folds_for_training(folder):
    other = source(folder / "set-fold-010*")
    spec = loading_spec(source(folder / "set*"), validation_data_source=other)
    assert len(names(training_sources(data_settings(spec)))) == 6
    assert names(validation_sources(data_settings(spec))) == ["set-fold-010"] * 2


def test_validation_files_that_are_also_trained_on_are_found(folder):
    (folder / "link").symlink_to(folder / "set-fold-010-of-011-shard-00000-of-00002")
    for pattern, count in (("set-fold-010*", 2), ("link", 1), ("set-fold-001*", 0)):
        spec = loading_spec(
            source(folder / "set-fold-0[01]0*"), validation_data_source=source(folder / pattern)
        )
        assert len(files_in_both(data_settings(spec))) == count
    assert files_in_both(data_settings(loading_spec(source(folder / "set*"), validation_fold=1))) == []


def test_without_a_split_all_is_training_and_validation_is_refused(folder):
    spec = loading_spec(source(folder / "set*"))
    assert not data_settings(spec).has_validation
    assert len(names(training_sources(data_settings(spec)))) == 6
    with pytest.raises(DataError, match="validation_fold"):
        validation_sources(data_settings(spec))


def test_the_list_of_skipped_labels_is_not_taken_for_records(folder):
    spec = loading_spec(source(folder / "set*"))
    assert all(not path.name.endswith("json") for path in training_sources(data_settings(spec))[0].files)


def test_pattern_without_a_file_names_field_and_pattern(tmp_path):
    spec = loading_spec(source(tmp_path / "set*"), source(tmp_path))
    with pytest.raises(DataError, match=r"data_sources\[0\]\.tfrecords_path: '.*set\*' matches no file"):
        training_sources(data_settings(spec))


def test_folder_instead_of_a_pattern_gets_a_hint(tmp_path):
    with pytest.raises(DataError, match=r"it is a folder; write '.*/\*'"):
        training_sources(data_settings(loading_spec(source(tmp_path))))


def test_fold_that_matches_nothing_is_an_error(folder):
    spec = loading_spec(source(folder / "set*"), validation_fold=7)
    with pytest.raises(DataError, match="validation_fold: no record file has 'fold-007-of-'"):
        validation_sources(data_settings(spec))


def test_fold_that_leaves_nothing_to_train_on_is_an_error(folder):
    spec = loading_spec(source(folder / "*fold-001*"), validation_fold=1)
    with pytest.raises(DataError, match="every record file belongs to fold 1"):
        training_sources(data_settings(spec))


def test_no_source_at_all_is_an_error():
    with pytest.raises(DataError, match="data_sources: none given"):
        training_sources(data_settings(loading_spec()))


def test_relative_path_is_looked_for_under_data_base_path(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("DATA_BASE_PATH", str(folder))
    monkeypatch.chdir("/")
    assert len(names(training_sources(data_settings(loading_spec(source("set*", "images")))))) == 6


def test_unset_weight_is_one(folder):
    weights = [
        s.weight
        for s in training_sources(
            data_settings(loading_spec(source(folder / "set*"), source(folder / "set*", weight=2.5)))
        )
    ]
    assert weights == [1.0, 2.5]
