"""Training from records on S3 sees what training from local files sees, with a cache smaller than the set."""

import glob
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from frcnn.console import exit_codes
from frcnn.data.input.dataset import training_dataset, validation_dataset
from frcnn.data.input.image_loader import ImageLoader
from frcnn.data.input.sources import training_sources
from frcnn.data.records import files, prefetch
from frcnn.data.records.disk_cache import RecordCache
from frcnn.data.records.offsets import list_name, write_list
from frcnn.data.records.prefetch import DONE, WAITING
from frcnn.data.records.tfrecord import frame
from frcnn.errors import DataError, StoreError
from frcnn.settings.data import data_settings
from frcnn.storage import Store
from tests.support.batches import logged, numbered
from tests.support.loading import image_record, loading_spec, source, write_records

COUNT = 23
# The set has about 60 kB.
LIMIT = 15_000


@pytest.fixture(autouse=True)
def environment(server, monkeypatch, tmp_path):
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("S3_PATIENCE_SECONDS", "20")
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FRCNN_CACHE_LIMIT", str(LIMIT))


def write_set(folder, records, shards=3, lists=True):
    """Record files of two folds, the last shard empty."""
    for fold in (0, 1):
        part = records[fold::2]
        for shard in range(shards):
            name = f"set-fold-{fold:03d}-of-002-shard-{shard:05d}-of-{shards:05d}"
            chunk = part[shard :: shards - 1] if shard < shards - 1 else []
            path = write_records(folder / name, chunk)
            if lists:
                write_list(path)
    (folder / "set_warning.json").write_text("{}")
    return folder


@pytest.fixture
def local(tmp_path):
    return write_set(tmp_path / "records", numbered(COUNT))


def put(store, folder, uri):
    """The files as objects, as KFP or `aws s3 sync` would put them."""
    for path in folder.iterdir():
        store.upload_file(path, f"{uri}/{path.name}")
    return f"{uri}/set-*"


def spec_of(*patterns, **changes):
    return loading_spec(
        *(source(pattern) for pattern in patterns),
        enable_augmentation=True,
        hflip_probability=0.5,
        color_shift_stddev=5.0,
        **changes,
    )


def batches(spec, count, **options):
    dataset = training_dataset(data_settings(spec), **options)
    return [{k: v.numpy() for k, v in batch.items()} for batch in dataset.batches.take(count)]


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def until(condition, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def cached_bytes(tmp_path):
    names = glob.glob(str(tmp_path / "cache" / "records" / "**" / "*"), recursive=True)
    return sum(Path(name).stat().st_size for name in names if Path(name).is_file())


@pytest.mark.parametrize("published", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_batches_from_s3_are_those_from_local_files_with_a_cache_smaller_than_the_set(
    store, local, uri, tmp_path, published
):
    if published:
        store.publish(local, uri)
        pattern = f"{uri}/set-*"
    else:
        pattern = put(store, local, uri)
    size = sum(path.stat().st_size for path in local.glob("set-fold*"))
    assert size > 2 * LIMIT
    steps = 3 * COUNT // 2
    assert_equal(batches(spec_of(pattern), steps), batches(spec_of(local / "set-*"), steps))
    assert 0 < cached_bytes(tmp_path) <= LIMIT


def test_resuming_within_an_epoch_and_several_ranks_are_the_same_too(store, local, uri):
    pattern = put(store, local, uri)
    for options in (
        {"start_epoch": 2, "start_step": 5},
        {"rank": 0, "world": 2},
        {"rank": 1, "world": 2, "start_epoch": 1, "start_step": 3},
    ):
        assert_equal(batches(spec_of(pattern), 9, **options), batches(spec_of(local / "set-*"), 9, **options))


@pytest.mark.slow
def test_a_local_and_a_remote_source_go_together(store, local, uri, tmp_path):
    other = write_set(tmp_path / "other", numbered(7, start=30))
    pattern = put(store, other, uri)
    found = batches(spec_of(local / "set-*", pattern), 20)
    assert_equal(found, batches(spec_of(local / "set-*", other / "set-*"), 20))


@pytest.mark.slow
def test_each_pass_of_a_validation_sees_each_image_once(store, local, uri):
    spec = loading_spec(source(put(store, local, uri)), validation_fold=1)
    here = loading_spec(source(local / "set-*"), validation_fold=1)
    for rank in (0, 1):
        dataset = validation_dataset(data_settings(spec), rank=rank, world=2, batch_size=2)
        expected = list(
            validation_dataset(
                data_settings(here), rank=rank, world=2, batch_size=2
            ).batches.as_numpy_iterator()
        )
        for _ in range(3):
            assert_equal(list(dataset.batches.as_numpy_iterator()), expected)


def test_broken_images_and_records_are_passed_over_as_in_local_files(store, uri, tmp_path, caplog):
    records = numbered(9)
    records[3] = image_record(4, records[3].labels, encoded=b"no image")
    folder = write_set(tmp_path / "records", records)
    damaged = folder / "set-fold-000-of-002-shard-00001-of-00003"
    content = bytearray(damaged.read_bytes())
    content[-10] ^= 1
    damaged.write_bytes(content)
    pattern = put(store, folder, uri)
    assert_equal(batches(spec_of(pattern), 15), batches(spec_of(folder / "set-*"), 15))
    assert f"of {uri}/set-fold-001-of-002" in logged(caplog)


@pytest.mark.slow
def test_strict_reads_every_record_and_names_the_broken_ones(store, uri, tmp_path):
    records = numbered(6)
    records[3] = image_record(4, records[3].labels, encoded=b"no image")
    pattern = put(store, write_set(tmp_path / "records", records), uri)
    with pytest.raises(DataError, match=r"cannot read 1 of 6 images:\n.*images/000004: its embedded bytes"):
        training_dataset(data_settings(spec_of(pattern)), strict=True)
    training_dataset(
        data_settings(spec_of(put(store, write_set(tmp_path / "fine", numbered(6)), f"{uri}/fine"))),
        strict=True,
    )


@pytest.mark.slow
def test_records_without_lists_are_walked_through_once(store, uri, tmp_path, caplog):
    folder = write_set(tmp_path / "records", numbered(5), lists=False)
    pattern = put(store, folder, uri)
    with caplog.at_level("INFO"):
        assert_equal(batches(spec_of(pattern), 5), batches(spec_of(folder / "set-*"), 5))
    assert "it has no usable index. Run dataset_convert again to create one." in caplog.text


@pytest.mark.slow
def test_a_list_of_other_records_is_not_believed(store, local, uri, tmp_path, caplog):
    name = "set-fold-000-of-002-shard-00000-of-00003"
    write_records(tmp_path / "x" / name, numbered(2))
    write_list(tmp_path / "x" / name)
    (tmp_path / "x" / list_name(name)).replace(local / list_name(name))
    pattern = put(store, local, uri)
    assert_equal(batches(spec_of(pattern), 5), batches(spec_of(local / "set-*"), 5))
    assert f"{list_name(name)}: it does not match {name}." in caplog.text


@pytest.mark.slow
def test_records_that_are_in_the_cache_are_not_fetched_again(store, local, uri, link, monkeypatch):
    pattern = put(store, local, uri)
    monkeypatch.setattr("frcnn.data.input.preflight.MAX_REMOTE_RECORDS", 4)
    monkeypatch.setenv("FRCNN_CACHE_LIMIT", "10MB")
    monkeypatch.setenv("S3_ENDPOINT", link.endpoint)
    size = sum(path.stat().st_size for path in local.glob("set-fold*"))
    first = batches(spec_of(pattern), COUNT)
    assert size < link.received < 2 * size
    received = link.received
    # Another process, or this one after a restart.
    assert_equal(batches(spec_of(pattern), COUNT), first)
    assert link.received - received < size / 2


@pytest.mark.slow
def test_a_rank_fetches_only_what_it_needs(store, uri, tmp_path, link, monkeypatch):
    folder = write_set(tmp_path / "records", numbered(400))
    pattern = put(store, folder, uri)
    monkeypatch.setenv("S3_ENDPOINT", link.endpoint)
    monkeypatch.setattr("frcnn.data.input.preflight.MAX_REMOTE_RECORDS", 4)
    monkeypatch.setenv("FRCNN_CACHE_LIMIT", "100kB")
    size = sum(path.stat().st_size for path in folder.glob("set-fold*"))
    batches(spec_of(pattern, batch_size_per_gpu=4), 10, rank=1, world=4)
    # 40 of 400 images, those ahead and the lists of offsets.
    assert link.received < size / 4


@pytest.mark.slow
def test_what_will_be_read_is_fetched_ahead(store, local, uri, tmp_path, monkeypatch):
    monkeypatch.setenv("FRCNN_CACHE_LIMIT", "10MB")
    iterator = iter(training_dataset(data_settings(spec_of(put(store, local, uri)))).batches)
    next(iterator)
    until(lambda: len(glob.glob(str(tmp_path / "cache/records/*/*/*"))) == COUNT)


@pytest.mark.slow
def test_a_server_that_comes_back_only_delays(store, local, uri, server):
    pattern = put(store, local, uri)
    expected = batches(spec_of(local / "set-*"), 30)
    iterator = iter(training_dataset(data_settings(spec_of(pattern))).batches)
    found = [next(iterator) for _ in range(3)]
    server.kill()
    threading.Timer(0.3, server.start).start()
    found += [next(iterator) for _ in range(27)]
    server.start()
    assert_equal([{k: v.numpy() for k, v in batch.items()} for batch in found], expected)


def test_a_server_that_stays_away_ends_the_run_and_says_why(store, local, uri, server, monkeypatch, caplog):
    pattern = put(store, local, uri)
    monkeypatch.setenv("S3_PATIENCE_SECONDS", "0.2")
    iterator = iter(training_dataset(data_settings(spec_of(pattern))).batches)
    next(iterator)
    server.kill()
    try:
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            for _ in range(200):
                next(iterator)
    finally:
        server.start()
    message = exit_codes.message(caught.value)
    assert message.startswith(f"{uri}/set-fold-00")
    assert f"cannot reach {server.endpoint} (" in message
    assert message.endswith("run the same command again to resume")
    assert exit_codes.exit_code(caught.value) == 1


def test_a_pattern_that_matches_nothing_names_field_uri_and_remedy(store, local, uri):
    put(store, local, uri)
    with pytest.raises(DataError) as caught:
        training_dataset(data_settings(spec_of(f"{uri}/other-*")))
    assert str(caught.value).startswith(
        f"dataset_config.data_sources[0].tfrecords_path: '{uri}/other-*' matches no file; check the URI"
    )
    with pytest.raises(StoreError, match="has no such bucket"):
        training_dataset(data_settings(spec_of("s3://not-there/records/set-*")))
    with pytest.raises(DataError, match="expected s3://bucket/folder/files"):
        training_dataset(data_settings(spec_of("s3://*/x")))


def test_patterns_match_as_in_a_file_system(store, uri):
    for name in ("a/set-1", "a/set-2", "b/set-1", "set-3", "a/.set-1.index", "a/x/set-1"):
        store.write(f"{uri}/{name}", b"")
    match = {
        pattern: [file.uri.removeprefix(f"{uri}/") for file in files.matching(f"{uri}/{pattern}")]
        for pattern in ("*/set-*", "a/*", "set-3", "?/set-[2-9]")
    }
    assert match == {
        "*/set-*": ["a/set-1", "a/set-2", "b/set-1"],
        "a/*": ["a/set-1", "a/set-2"],
        "set-3": ["set-3"],
        "?/set-[2-9]": ["a/set-2"],
    }


def test_a_cache_keeps_to_its_limit_and_what_was_used_last(tmp_path):
    cache = RecordCache(tmp_path / "cache", 1000)
    record = frame(b"x" * 84)  # 100 bytes
    for number in range(40):
        cache.link(f"set/{number}", tmp_path / f"link-{number}", lambda: record)
        os.utime(tmp_path / f"link-{number}", (number, number))
        assert cached_bytes(tmp_path) <= 1000
    left = {int(path.name) for path in (tmp_path / "cache" / "records" / "set").iterdir()}
    assert left <= set(range(25, 40)) and 39 in left
    assert all((tmp_path / f"link-{number}").read_bytes() == record for number in range(40))


def test_a_cached_record_that_was_damaged_is_fetched_again(tmp_path):
    cache = RecordCache(tmp_path / "cache", 1000)
    record = frame(b"x" * 84)
    cache.link("set/1", tmp_path / "one", lambda: record)
    (tmp_path / "cache" / "records" / "set" / "1").write_bytes(record[:-1] + b"?")
    cache.link("set/1", tmp_path / "two", lambda: record)
    assert (tmp_path / "two").read_bytes() == record


def test_folders_of_dead_processes_are_cleared_up(store, local, uri, tmp_path):
    dead = tmp_path / "cache" / "sessions" / "1-dead"
    dead.mkdir(parents=True)
    (dead / "5").write_bytes(b"record")
    dead.with_name("1-dead.lock").touch()
    batches(spec_of(put(store, local, uri)), 1)
    assert not dead.exists()
    assert len(list((tmp_path / "cache" / "sessions").glob("*.lock"))) == 1


def test_a_process_that_ends_while_records_are_fetched_ahead_reports_no_failure(
    store, local, uri, monkeypatch, caplog
):
    monkeypatch.setattr(prefetch, "_exiting", threading.Event())
    settings = data_settings(spec_of(put(store, local, uri)))
    stream = ImageLoader(settings, training_sources(settings), training=True, augmented=False).stream
    prefetch._delete_session(stream.folder)
    with pytest.raises(FileNotFoundError) as caught:
        stream._provide(0)
    stream._fail(0, caught.value)
    assert stream.failure is None
    assert "cannot store" not in caplog.text


def test_op_determinism_leaves_the_pipeline_its_threads(store, local, uri):
    from tests.unit.data.input.test_dataset import HARMLESS, stateful_ops

    spec = spec_of(put(store, local, uri), validation_fold=0)
    assert stateful_ops(validation_dataset(data_settings(spec), batch_size=1)) <= HARMLESS
    assert stateful_ops(training_dataset(data_settings(spec), start_step=1)) <= HARMLESS


def test_stores_know_where_each_file_lies(store, local, uri):
    store.publish(local, uri)
    names = {each.path for each in Store(store.settings).files(uri)}
    assert {name for name in names if name.startswith("set-fold")} == {
        p.name for p in local.glob("set-fold*")
    }


def test_a_stand_in_that_loses_its_file_before_it_is_read_is_fetched_again(store, local, uri):
    """As when the slot of its own has read it, just before the slot of a broken image does."""
    pattern = put(store, local, uri)
    loader = ImageLoader(
        data_settings(spec_of(pattern)),
        training_sources(data_settings(spec_of(pattern))),
        training=True,
        augmented=False,
    )
    stream = loader.stream
    stream._on_message(WAITING, 5)
    until(lambda: (stream.folder / "5").exists())
    stream._on_message(WAITING, 5)
    stream._on_message(DONE, 5)
    assert not (stream.folder / "5").exists()
    read = tf.data.Dataset.range(5, 6).flat_map(lambda number: loader.reader.read(number, 0))
    (record,) = read.as_numpy_iterator()
    assert record["number"] == 5
