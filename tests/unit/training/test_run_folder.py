"""Checkpoint that a folder, or a name in it, refers to."""

import pytest

from frcnn.errors import ModelError
from frcnn.training.run_folder import INDEX, checkpoint_in, checkpoints_of, find_checkpoint, write_index


@pytest.fixture
def folder(tmp_path):
    for name in ("n.epoch_9.keras", "n.epoch_10.keras", "n.best.keras", ".n.epoch_11.keras.x", "notes.txt"):
        (tmp_path / name).touch()
    return tmp_path


def test_without_an_index_the_highest_epoch_is_the_latest(folder):
    assert checkpoint_in(folder, "latest") == folder / "n.epoch_10.keras"
    assert checkpoint_in(folder, "best") == folder / "n.best.keras"


def test_files_of_an_earlier_run_count_for_nothing(folder):
    write_index(folder, None, None, ["n.epoch_10.keras", "n.best.keras"])
    assert checkpoint_in(folder, "latest") == checkpoint_in(folder, "best") == folder / "n.epoch_9.keras"
    write_index(folder, None, None, checkpoints_of(folder))
    assert checkpoint_in(folder, "latest") is None


def test_a_checkpoint_that_the_index_does_not_know_yet_counts(folder):
    """A run that was killed between the two has written it whole."""
    write_index(folder, folder / "n.epoch_9.keras", None)
    assert checkpoint_in(folder, "latest") == folder / "n.epoch_10.keras"


@pytest.mark.parametrize(
    "text", ["", "[1]", "{", "{}", '{"of_an_earlier_run": 3}', '{"of_an_earlier_run": [1]}']
)
def test_an_index_that_is_of_no_use_is_ignored(folder, text):
    (folder / INDEX).write_text(text)
    assert checkpoint_in(folder, "latest") == folder / "n.epoch_10.keras"


def test_names_within_the_folder_and_files_are_understood(folder):
    assert find_checkpoint(folder, "best") == folder / "n.best.keras"
    assert find_checkpoint(folder / "latest", "best") == folder / "n.epoch_10.keras"
    assert find_checkpoint(folder / "best", "latest") == folder / "n.best.keras"
    assert find_checkpoint(folder / "n.epoch_9.keras", "best") == folder / "n.epoch_9.keras"
    assert find_checkpoint(folder / "missing.keras", "best") == folder / "missing.keras"


def test_a_folder_without_checkpoints_or_of_several_models_is_refused(folder, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    for path in (empty, empty / "latest"):
        with pytest.raises(ModelError, match="no checkpoint in this folder"):
            find_checkpoint(path, "latest")
    (folder / "other.epoch_3.tlt").touch()
    with pytest.raises(ModelError, match="several models"):
        checkpoint_in(folder, "latest")


@pytest.mark.parametrize("name", ["model.keras", "model.tlt", "model.onnx", "model.etlt"])
def test_the_folder_of_a_pipeline_steps_model_is_that_model(tmp_path, name):
    for each in (name, "status.json", "labels.txt", "spec.txt"):
        (tmp_path / each).touch()
    assert find_checkpoint(tmp_path, "best") == tmp_path / name


def test_checkpoints_come_before_a_model_beside_them(tmp_path):
    for each in ("model.onnx", "frcnn_resnet_18.epoch_3.keras"):
        (tmp_path / each).touch()
    assert find_checkpoint(tmp_path, "best") == tmp_path / "frcnn_resnet_18.epoch_3.keras"
