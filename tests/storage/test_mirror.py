"""Checkpoints go to S3 beside the training, and come back on another machine."""

import logging
import os
import time

import pytest

from frcnn.errors import StoreError
from frcnn.files import write_text
from frcnn.storage.mirror import Mirror
from frcnn.training import s3_backup
from tests.storage.files import names, write


def eventually(condition, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def listed(store, uri):
    return sorted(entry.name for entry in store.list(uri))


def test_files_are_copied_while_they_appear_and_removed_after_their_successors(store, uri, tmp_path):
    folder = write(tmp_path / "folder", {"before": 10})
    with Mirror(store, folder, uri, interval=0.01):
        write_text(folder / "a.epoch_1.keras", "one")
        write_text(folder / ".hidden", "no")
        eventually(lambda: listed(store, uri) == ["a.epoch_1.keras"])
        write_text(folder / "logs" / "status.json", "1")
        write_text(folder / "a.epoch_2.keras", "two")
        (folder / "a.epoch_1.keras").unlink()
        eventually(lambda: listed(store, uri) == ["a.epoch_2.keras", "logs/status.json"])
        write_text(folder / "logs" / "status.json", "12")
    assert listed(store, uri) == ["a.epoch_2.keras", "logs/status.json"]
    assert store.read(f"{uri}/logs/status.json") == b"12"


def test_a_file_whose_name_no_store_takes_is_named_and_keeps_no_other_from_being_copied(
    store, uri, tmp_path, caplog
):
    folder = tmp_path / "folder"
    folder.mkdir()
    odd = ["a@b", "a\nb", os.fsdecode(b"caf\xe9")]
    with caplog.at_level(logging.WARNING), Mirror(store, folder, uri, interval=0.01):
        for name in odd:
            (folder / name).touch()
        os.mkfifo(folder / "pipe")
        eventually(lambda: caplog.text.count("is not copied; rename it") == len(odd))
        write_text(folder / "model.keras", "one")
        eventually(lambda: listed(store, uri) == ["model.keras"])
        for name in odd:
            (folder / name).unlink()
        write_text(folder / "model.keras", "two")
    assert store.read(f"{uri}/model.keras") == b"two"
    assert caplog.text.count("is not copied") == len(odd)


def test_a_server_that_is_away_for_a_while_only_delays(server, through, uri, tmp_path, caplog):
    folder = tmp_path / "folder"
    store = through(patience=0.1)
    server.kill()
    try:
        with caplog.at_level(logging.WARNING), Mirror(store, folder, uri, interval=0.01):
            write_text(folder / "checkpoint", "one")
            eventually(lambda: "Copying failed; retrying while the run continues" in caplog.text)
            server.start()
            eventually(lambda: listed(store, uri) == ["checkpoint"])
    finally:
        server.start()


def test_what_cannot_be_copied_at_the_end_is_an_error_but_hides_no_other(through, uri, tmp_path):
    store, folder = through(patience=0.1, endpoint="http://127.0.0.1:9"), tmp_path / "folder"
    with pytest.raises(StoreError, match="cannot reach"), Mirror(store, folder, uri, interval=60):
        write_text(folder / "checkpoint", "one")
    with pytest.raises(KeyError), Mirror(store, folder, uri, interval=60):
        raise KeyError


@pytest.fixture
def training(monkeypatch):
    """Stands in for the training: remembers what it found and writes the checkpoints it is told to."""
    seen = []

    def train_or_resume(spec, folder, **options):
        seen.append([name for name in names(folder) if not name.startswith(".")] if folder.is_dir() else [])
        for name in spec:
            write_text(folder / name, f"{name} of run {len(seen)}")

    monkeypatch.setattr(s3_backup, "train_or_resume", train_or_resume)
    return seen


FIRST = ["frcnn_x.epoch_9.tlt", "frcnn_x.epoch_10.tlt", "frcnn_x.best.tlt", "status.json"]


def test_a_step_on_a_new_machine_begins_with_the_newest_checkpoint(store, uri, tmp_path, training):
    s3_backup.train_with_s3_backup(FIRST, tmp_path / "one", uri, store=store)
    s3_backup.train_with_s3_backup(["frcnn_x.epoch_11.tlt"], tmp_path / "two", uri, store=store)
    assert training == [[], ["frcnn_x.best.tlt", "frcnn_x.epoch_10.tlt", "status.json"]]
    assert (tmp_path / "two" / "frcnn_x.epoch_10.tlt").read_text() == "frcnn_x.epoch_10.tlt of run 1"
    assert "frcnn_x.epoch_11.tlt" in listed(store, uri)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    store, through, link, uri, tmp_path, training, caplog
):
    s3_backup.train_with_s3_backup(FIRST, tmp_path / "one", uri, store=store)
    link.spoil_received = lambda data: data.replace(b"epoch_10.tlt of run 1", b"epoch_10.tlt of run 2")
    s3_backup.train_with_s3_backup([], tmp_path / "two", uri, store=through())
    assert training[1] == ["frcnn_x.best.tlt", "frcnn_x.epoch_9.tlt", "status.json"]
    assert "epoch_10.tlt: damaged" in caplog.text


def test_only_rank_0_writes_and_every_rank_reads(store, uri, tmp_path, training, monkeypatch):
    s3_backup.train_with_s3_backup(FIRST, tmp_path / "one", uri, store=store)
    for name, value in {"RANK": "1", "SIZE": "2", "LOCAL_RANK": "1", "LOCAL_SIZE": "2"}.items():
        monkeypatch.setenv(f"HOROVOD_{name}", value)
    s3_backup.train_with_s3_backup(["frcnn_x.epoch_11.tlt"], tmp_path / "two", uri, store=store)
    assert training[1] == ["frcnn_x.best.tlt", "frcnn_x.epoch_10.tlt", "status.json"]
    assert "frcnn_x.epoch_11.tlt" not in listed(store, uri)


def test_a_folder_needs_no_store(tmp_path, training):
    s3_backup.train_with_s3_backup(FIRST, tmp_path / "one")
    assert names(tmp_path / "one") == sorted(FIRST)


def test_a_cancelled_run_still_copies_its_last_checkpoint(store, uri, tmp_path):
    with pytest.raises(KeyboardInterrupt), Mirror(store, tmp_path / "folder", uri, interval=60):
        write_text(tmp_path / "folder" / "checkpoint", "last")
        raise KeyboardInterrupt
    assert listed(store, uri) == ["checkpoint"]
