"""Batches from record files, end to end: values, order, sharding."""

import itertools
import logging
import os

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from frcnn.data.input.dataset import training_dataset, validation_dataset, worker_threads
from frcnn.data.records.annotations import Label
from frcnn.errors import DataError
from frcnn.settings.data import data_settings
from tests.support.batches import first, logged, numbered, numbers, objects_of, train_numbers, validation_pass
from tests.support.loading import (
    ImageType,
    SamplingMode,
    image_bytes,
    image_record,
    loading_spec,
    noise_image,
    source,
    write_records,
)

RGB_MEAN = np.float32([123.68, 116.779, 103.939])


def test_batch_has_the_promised_shapes(make):
    dataset = training_dataset(data_settings(make(numbered(3), batch_size_per_gpu=2)))
    spec = {name: (tuple(s.shape), s.dtype.name) for name, s in dataset.batches.element_spec.items()}
    assert spec == {
        "images": ((2, 40, 60, 3), "float32"),
        "size": ((2, 2), "int32"),
        "boxes": ((2, 5, 4), "float32"),
        "classes": ((2, 5), "int32"),
        "valid": ((2, 5), "bool"),
        "difficult": ((2, 5), "bool"),
    }
    assert (dataset.size, dataset.steps_per_epoch) == (3, 2)
    np.testing.assert_array_equal(first(dataset)["size"], [[40, 60]] * 2)


def test_boxes_are_stretched_with_the_image_and_rounded_half_to_even(make):
    labels = (
        Label("car", 10.0, 8.0, 30.0, 20.0),
        Label("person", 1.25, 2.5, 20.75, 3.5, occlusion=1),
        Label("van", -9.0, -9.0, 900.0, 900.0, occlusion=3),
    )
    batch = first(
        training_dataset(
            data_settings(make([image_record(0, labels)], height=80, width=120, batch_size_per_gpu=1))
        )
    )
    # Twice as large: (2.5, 5, 41.5, 7) px has its halves rounded to even; then clipped to 79 and 119.
    boxes, classes = objects_of(batch)
    assert boxes == [[16, 20, 40, 60], [5, 2, 7, 42], [0, 0, 79, 119]]
    assert classes == [1, 0, 1]
    np.testing.assert_array_equal(batch["difficult"][0], [False, True, True, False, False])
    assert not batch["boxes"][0, 3:].any()


def test_boxes_follow_the_size_in_the_record(make):
    record = image_record(0, (Label("car", 10.0, 8.0, 30.0, 20.0),), height=80, width=120)
    boxes, _ = objects_of(first(training_dataset(data_settings(make([record], batch_size_per_gpu=1)))))
    assert boxes == [[4, 5, 10, 15]]


def test_without_resizing_boxes_are_cut_at_the_border(make):
    labels = (Label("car", 10.0, 8.0, 30.0, 20.0), Label("car", 45.0, 8.0, 55.0, 20.0))
    spec = make(
        [image_record(0, labels)], height=15, width=40, enable_auto_resize=False, batch_size_per_gpu=1
    )
    batch = first(training_dataset(data_settings(spec)))
    assert objects_of(batch)[0] == [[8, 10, 14, 30]]
    np.testing.assert_allclose(batch["images"][0] + RGB_MEAN, noise_image(0)[:15, :40], atol=1e-4)


def test_without_resizing_small_images_get_a_black_border_before_the_mean_is_taken(make):
    spec = make([image_record(0)], height=50, width=70, enable_auto_resize=False, batch_size_per_gpu=1)
    image = first(training_dataset(data_settings(spec)))["images"][0] + RGB_MEAN
    np.testing.assert_allclose(image[:40, :60], noise_image(0), atol=1e-4)
    np.testing.assert_allclose(image[40:], 0, atol=1e-4)
    np.testing.assert_allclose(image[:, 60:], 0, atol=1e-4)


def test_gray_images_have_one_channel(make):
    spec = make(
        [image_record(0)], image_type=ImageType.GRAY_SCALE, image_channel_order="l", batch_size_per_gpu=1
    )
    image = first(training_dataset(data_settings(spec)))["images"][0]
    luma = noise_image(0) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(image[..., 0] + 117.0, luma, atol=1.5)


def test_classes_are_matched_in_any_case_and_unmapped_ones_counted(make, caplog):
    labels = (Label("car", 1, 1, 9, 9), Label("tree", 1, 1, 9, 9), Label("dontcare", 1, 1, 9, 9))
    spec = make([image_record(0, labels)], target_class_mapping={"CAR": "Auto"}, batch_size_per_gpu=1)
    with caplog.at_level(logging.INFO):
        batch = first(training_dataset(data_settings(spec)))
    assert objects_of(batch) == ([[1, 1, 9, 9]], [0])
    assert "unmapped classes (1 images): tree (1)\n" in logged(caplog)


def test_boxes_under_one_pixel_and_inverted_boxes_are_dropped(make):
    labels = (
        Label("car", 10.4, 8.0, 11.3, 20.0),
        Label("car", 10.4, 8.0, 11.5, 20.0),
        Label("car", 30.0, 8.0, 10.0, 20.0),
    )
    batch = first(training_dataset(data_settings(make([image_record(0, labels)], batch_size_per_gpu=1))))
    assert objects_of(batch)[0] == [[8, 10, 20, 12]]


def test_surplus_objects_are_dropped_smallest_first_and_the_image_is_named_once(make, caplog):
    sides = (9, 3, 8, 4, 7, 2)
    labels = tuple(Label("car", 1.0, 1.0, 1.0 + side, 1.0 + side) for side in sides)
    spec = make([image_record(0, labels)], max_objects_num_per_image=4, batch_size_per_gpu=1)
    batches = training_dataset(data_settings(spec)).batches.take(3)
    kept = [[y2 - y1 for y1, _, y2, _ in batch["boxes"][0].numpy()] for batch in batches]
    assert kept == [[9, 8, 4, 7]] * 3
    assert logged(caplog).count("images/000000: more than max_objects_num_per_image (4)") == 1


def test_images_without_objects_are_kept(make):
    record = image_record(0, (Label("tree", 1, 1, 9, 9),))
    dataset = training_dataset(data_settings(make([record, image_record(1)], batch_size_per_gpu=2)))
    assert sorted(first(dataset)["valid"].sum(axis=1)) == [0, 1]


# Files beside the records


@pytest.mark.parametrize("name", ["000000.jpg", "000000.JPG", "000000.jpeg", "000000.JPEG"])
def test_images_are_found_in_their_folder_under_any_spelling_of_the_extension(tmp_path, name):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / name).write_bytes(image_bytes(noise_image(0), "PNG"))
    write_records(tmp_path / "set", [image_record(0, encoded=None, image_format="")])
    spec = loading_spec(source(tmp_path / "set", tmp_path), image_extension="jpg", batch_size_per_gpu=1)
    image = first(training_dataset(data_settings(spec)))["images"][0] + RGB_MEAN
    np.testing.assert_allclose(image, noise_image(0), atol=1e-4)


def test_no_image_there_is_an_error_before_training(make):
    spec = make([image_record(0, encoded=None)])
    with pytest.raises(DataError, match=r"found no image .*images/000000\.png"):
        training_dataset(data_settings(spec))


def test_empty_shards_are_fine(tmp_path):
    for shard, records in enumerate([[], numbered(2), [], numbered(1, start=3)]):
        write_records(tmp_path / f"set-shard-{shard}", records)
    dataset = training_dataset(data_settings(loading_spec(source(tmp_path / "set*"), batch_size_per_gpu=3)))
    assert sorted(numbers(next(iter(dataset.batches)))) == [1, 2, 3]


# Order


def test_an_epoch_holds_each_image_and_its_last_batch_is_filled_from_its_start(make):
    batches = train_numbers(make(numbered(5), batch_size_per_gpu=2), 6)
    for epoch in (batches[:3], batches[3:]):
        flat = list(itertools.chain(*epoch))
        assert sorted(flat[:5]) == [1, 2, 3, 4, 5]
        assert flat[5] == flat[0]
    assert batches[:3] != batches[3:]


def test_resuming_goes_on_exactly(make):
    spec = make(numbered(5), batch_size_per_gpu=2, enable_augmentation=True, hflip_probability=0.5)

    def take(count, **options):
        batches = training_dataset(data_settings(spec), **options).batches.take(count)
        return [{name: value.numpy() for name, value in batch.items()} for batch in batches]

    whole = take(9)
    for start in ({"start_epoch": 1}, {"start_epoch": 1, "start_step": 2}, {"start_step": 1}):
        skipped = 3 * start.get("start_epoch", 0) + start.get("start_step", 0)
        for again, expected in zip(take(9 - skipped, **start), whole[skipped:], strict=True):
            for name in expected:
                np.testing.assert_array_equal(again[name], expected[name])


def test_another_seed_gives_another_order(make):
    spec = make(numbered(8), batch_size_per_gpu=8)
    before = train_numbers(spec, 1)
    spec.random_seed = 43
    assert train_numbers(spec, 1) != before


def test_ranks_share_an_epoch(make):
    spec = make(numbered(7), batch_size_per_gpu=2)
    shares = [train_numbers(spec, 2, rank=rank, world=2) for rank in range(2)]
    assert {
        training_dataset(data_settings(spec), rank=rank, world=2).steps_per_epoch for rank in range(2)
    } == {2}
    together = list(itertools.chain(*shares[0], *shares[1]))
    assert len(together) == 8
    assert set(together) == set(range(1, 8))


def test_uniform_sampling_gives_each_source_its_half(tmp_path):
    write_records(tmp_path / "small", numbered(2))
    write_records(tmp_path / "large", numbered(10, start=3))
    spec = loading_spec(
        source(tmp_path / "small"),
        source(tmp_path / "large"),
        batch_size_per_gpu=12,
        sampling_mode=SamplingMode.UNIFORM,
    )
    drawn = train_numbers(spec, 1)[0]
    assert drawn.count(1) == drawn.count(2) == 3
    spec.dataset_config.sampling_mode = SamplingMode.PROPORTIONAL
    assert sorted(train_numbers(spec, 1)[0]) == list(range(1, 13))


@pytest.mark.parametrize("mode", [SamplingMode.USER_DEFINED, SamplingMode.PROPORTIONAL])
def test_a_source_weight_multiplies_the_share_of_its_source(tmp_path, mode):
    write_records(tmp_path / "small", numbered(2))
    write_records(tmp_path / "large", numbered(10, start=3))
    sources = source(tmp_path / "small", weight=5.0), source(tmp_path / "large")
    spec = loading_spec(*sources, batch_size_per_gpu=12, sampling_mode=mode)
    # 2 x 5 to 10: six images each, so three times each of two, and six of ten.
    drawn = train_numbers(spec, 1)[0]
    assert drawn.count(1) == drawn.count(2) == 3
    assert len(set(drawn) - {1, 2}) == 6
    spec.dataset_config.sampling_mode = SamplingMode.UNIFORM
    spec.dataset_config.data_sources[0].source_weight = 100.0
    assert train_numbers(spec, 1)[0].count(1) == 3


def test_ranks_share_the_epochs_of_several_sources(tmp_path):
    write_records(tmp_path / "small", numbered(2))
    write_records(tmp_path / "large", numbered(6, start=3))
    sources = source(tmp_path / "small"), source(tmp_path / "large")
    spec = loading_spec(*sources, batch_size_per_gpu=2)
    shares = [train_numbers(spec, 2, rank=rank, world=2) for rank in range(2)]
    assert sorted(itertools.chain(*shares[0], *shares[1])) == list(range(1, 9))


# Speed

# Ops with a state that TensorFlow's pass `make_deterministic` knows to be harmless. Any other one in a data
# set's function makes it take threads and prefetching away, once op determinism is on, as it is in training.
HARMLESS = {
    "Assert",
    "PrintV2",
    "RangeDataset",
    "TFRecordDatasetV2",
    "TensorSliceDataset",
    "If",
    "While",
    "_Retval",
}


def test_op_determinism_leaves_the_pipeline_its_threads(make):
    spec = make(
        numbered(2),
        enable_augmentation=True,
        rotate_rad_max=0.1,
        color_shift_stddev=0.1,
        validation_fold=0,
    )
    assert stateful_ops(validation_dataset(data_settings(spec), batch_size=1)) <= HARMLESS
    spec.dataset_config.validation_fold = None
    assert stateful_ops(training_dataset(data_settings(spec), start_step=1)) <= HARMLESS


def test_no_tuning_thread_delays_the_end_of_an_iterator(make):
    spec = make(numbered(2), validation_fold=0)
    validation = validation_dataset(data_settings(spec), batch_size=1)
    spec.dataset_config.validation_fold = None
    training = training_dataset(data_settings(spec), start_step=1)
    for dataset in (training, validation):
        assert dataset.batches.options().autotune.enabled is False


def stateful_ops(dataset):
    variant = tf.data.experimental.to_variant(dataset.batches)
    graph = tf.compat.v1.GraphDef.FromString(tf.raw_ops.DatasetToGraphV2(input_dataset=variant).numpy())
    nodes = itertools.chain(graph.node, *(function.node_def for function in graph.library.function))
    ops = {node.op for node in nodes} - {function.signature.name for function in graph.library.function}
    return {op for op in ops if (known := op_def_registry.get(op)) is None or known.is_stateful}


# Validation


@pytest.mark.parametrize(("batch_size", "world"), [(1, 1), (2, 1), (3, 1), (2, 2), (3, 4)])
def test_each_validation_image_comes_exactly_once(make, batch_size, world):
    spec = make(numbered(5), validation_fold=0)
    seen = []
    lengths = set()
    for rank in range(world):
        batches = validation_pass(spec, batch_size=batch_size, rank=rank, world=world)
        lengths.add(len(batches))
        for batch in batches:
            assert batch["images"].shape == (batch_size, 40, 60, 3)
            assert not batch["valid"][~batch["image_valid"]].any()
            seen += batch["frame_id"][batch["image_valid"]].tolist()
    assert sorted(seen) == [f"images/{number:06d}".encode() for number in range(1, 6)]
    assert len(lengths) == 1


def test_validation_images_come_in_order_with_their_size_and_are_never_augmented(make):
    spec = make(numbered(3), validation_fold=0, enable_augmentation=True, hflip_probability=1.0)
    (batch,) = validation_pass(spec, batch_size=3)
    np.testing.assert_array_equal(batch["boxes"][:, 0], [[4, 0, 24, n] for n in (1, 2, 3)])
    np.testing.assert_array_equal(batch["original_size"], [[20, 60]] * 3)


def test_several_validation_sources_are_all_visited(tmp_path):
    for name, start in (("a", 1), ("b", 4)):
        write_records(tmp_path / f"{name}-fold-001-of-002", numbered(3, start=start))
    spec = loading_spec(source(tmp_path / "a*"), source(tmp_path / "b*"), validation_fold=1)
    seen = [name for batch in validation_pass(spec, batch_size=4) for name in batch["frame_id"]]
    assert seen[:6] == [f"images/{number:06d}".encode() for number in range(1, 7)]


def test_a_fold_of_empty_files_is_an_error(tmp_path):
    write_records(tmp_path / "set-fold-000-of-002", [])
    write_records(tmp_path / "set-fold-001-of-002", numbered(2))
    spec = loading_spec(source(tmp_path / "set*"), validation_fold=0)
    assert training_dataset(data_settings(spec)).size == 2
    with pytest.raises(DataError, match="all empty"):
        validation_dataset(data_settings(spec), batch_size=1)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (6, 3), (64, 16)])
def test_pipeline_uses_half_of_the_cores_that_the_process_may_use(monkeypatch, cores, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 128)
    assert worker_threads() == threads
