"""Batches from record files, end to end: values, order, sharding, and what happens to bad input."""

import itertools
import logging

import numpy as np
import pytest
import tensorflow as tf

from frcnn.data.annotations import Label
from frcnn.data.pipeline import training_dataset, validation_dataset
from frcnn.errors import DataError
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


def numbers(batch):
    """Which of the numbered images a batch holds, told by a box that is `number` px wide."""
    boxes = batch["boxes"].numpy()[:, 0]
    return [int(number) for number in boxes[:, 3] - boxes[:, 1]]


def numbered(count, start=1):
    """Records whose only box is as wide as the record's number; small images, so that reading is fast."""
    pixels = noise_image(0, 20, 60)
    return [
        image_record(number, (Label("car", 0.0, 2.0, float(number), 12.0),), pixels=pixels)
        for number in range(start, start + count)
    ]


@pytest.fixture
def make(tmp_path):
    """Writes records into a file and gives a spec that reads them."""

    def build(records, **changes):
        write_records(tmp_path / "set-fold-000-of-001", records)
        return loading_spec(source(tmp_path / "set*", tmp_path), **changes)

    return build


def first(dataset):
    return {name: value.numpy() for name, value in next(iter(dataset.batches)).items()}


def objects_of(batch, row=0):
    valid = batch["valid"][row]
    return batch["boxes"][row][valid].tolist(), batch["classes"][row][valid].tolist()


def test_batch_has_the_promised_shapes(make):
    dataset = training_dataset(make(numbered(3), batch_size_per_gpu=2))
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
        training_dataset(make([image_record(0, labels)], height=80, width=120, batch_size_per_gpu=1))
    )
    # Twice as large: (2.5, 5, 41.5, 7) px has its halves rounded to even; then clipped to 79 and 119.
    boxes, classes = objects_of(batch)
    assert boxes == [[16, 20, 40, 60], [5, 2, 7, 42], [0, 0, 79, 119]]
    assert classes == [1, 0, 1]
    np.testing.assert_array_equal(batch["difficult"][0], [False, True, True, False, False])
    assert not batch["boxes"][0, 3:].any()


def test_boxes_follow_the_size_in_the_record(make):
    record = image_record(0, (Label("car", 10.0, 8.0, 30.0, 20.0),), height=80, width=120)
    boxes, _ = objects_of(first(training_dataset(make([record], batch_size_per_gpu=1))))
    assert boxes == [[4, 5, 10, 15]]


def test_without_resizing_boxes_are_cut_at_the_border(make):
    labels = (Label("car", 10.0, 8.0, 30.0, 20.0), Label("car", 45.0, 8.0, 55.0, 20.0))
    spec = make(
        [image_record(0, labels)], height=15, width=40, enable_auto_resize=False, batch_size_per_gpu=1
    )
    batch = first(training_dataset(spec))
    assert objects_of(batch)[0] == [[8, 10, 14, 30]]
    np.testing.assert_allclose(batch["images"][0] + RGB_MEAN, noise_image(0)[:15, :40], atol=1e-4)


def test_without_resizing_small_images_get_a_black_border_before_the_mean_is_taken(make):
    spec = make([image_record(0)], height=50, width=70, enable_auto_resize=False, batch_size_per_gpu=1)
    image = first(training_dataset(spec))["images"][0] + RGB_MEAN
    np.testing.assert_allclose(image[:40, :60], noise_image(0), atol=1e-4)
    np.testing.assert_allclose(image[40:], 0, atol=1e-4)
    np.testing.assert_allclose(image[:, 60:], 0, atol=1e-4)


def test_grey_images_have_one_channel(make):
    spec = make(
        [image_record(0)], image_type=ImageType.GRAY_SCALE, image_channel_order="l", batch_size_per_gpu=1
    )
    image = first(training_dataset(spec))["images"][0]
    luma = noise_image(0) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(image[..., 0] + 117.0, luma, atol=1.5)


def test_classes_are_matched_in_any_case_and_unmapped_ones_counted(make, caplog):
    labels = (Label("car", 1, 1, 9, 9), Label("tree", 1, 1, 9, 9), Label("dontcare", 1, 1, 9, 9))
    spec = make([image_record(0, labels)], target_class_mapping={"CAR": "Auto"}, batch_size_per_gpu=1)
    with caplog.at_level(logging.INFO):
        batch = first(training_dataset(spec))
    assert objects_of(batch) == ([[1, 1, 9, 9]], [0])
    assert "left out (1 images): tree (1), dontcare (1)" in caplog.text


def test_boxes_under_one_pixel_and_inverted_boxes_are_dropped(make):
    labels = (
        Label("car", 10.4, 8.0, 11.3, 20.0),
        Label("car", 10.4, 8.0, 11.5, 20.0),
        Label("car", 30.0, 8.0, 10.0, 20.0),
    )
    batch = first(training_dataset(make([image_record(0, labels)], batch_size_per_gpu=1)))
    assert objects_of(batch)[0] == [[8, 10, 20, 12]]


def test_surplus_objects_are_dropped_smallest_first_and_the_image_is_named_once(make, caplog):
    sides = (9, 3, 8, 4, 7, 2)
    labels = tuple(Label("car", 1.0, 1.0, 1.0 + side, 1.0 + side) for side in sides)
    spec = make([image_record(0, labels)], max_objects_num_per_image=4, batch_size_per_gpu=1)
    batches = training_dataset(spec).batches.take(3)
    kept = [[y2 - y1 for y1, _, y2, _ in batch["boxes"][0].numpy()] for batch in batches]
    assert kept == [[9, 8, 4, 7]] * 3
    assert caplog.text.count("images/000000: more than max_objects_num_per_image (4)") == 1


def test_images_without_objects_are_kept(make):
    record = image_record(0, (Label("tree", 1, 1, 9, 9),))
    dataset = training_dataset(make([record, image_record(1)], batch_size_per_gpu=2))
    assert sorted(first(dataset)["valid"].sum(axis=1)) == [0, 1]


# Files beside the records


@pytest.mark.parametrize("name", ["000000.jpg", "000000.JPG", "000000.jpeg", "000000.JPEG"])
def test_images_are_found_in_their_folder_under_any_spelling_of_the_extension(tmp_path, name):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / name).write_bytes(image_bytes(noise_image(0), "PNG"))
    write_records(tmp_path / "set", [image_record(0, encoded=None, image_format="")])
    spec = loading_spec(source(tmp_path / "set", tmp_path), image_extension="jpg", batch_size_per_gpu=1)
    image = first(training_dataset(spec))["images"][0] + RGB_MEAN
    np.testing.assert_allclose(image, noise_image(0), atol=1e-4)


def test_no_image_there_is_an_error_before_training(make):
    spec = make([image_record(0, encoded=None)])
    with pytest.raises(DataError, match=r"none of the images is there .*images/000000\.png"):
        training_dataset(spec)


def test_empty_shards_are_fine(tmp_path):
    for shard, records in enumerate([[], numbered(2), [], numbered(1, start=3)]):
        write_records(tmp_path / f"set-shard-{shard}", records)
    dataset = training_dataset(loading_spec(source(tmp_path / "set*"), batch_size_per_gpu=3))
    assert sorted(numbers(next(iter(dataset.batches)))) == [1, 2, 3]


# Order


def train_numbers(spec, batches, **options):
    dataset = training_dataset(spec, **options)
    return [numbers(batch) for batch in dataset.batches.take(batches)]


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
        batches = training_dataset(spec, **options).batches.take(count)
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
    assert {training_dataset(spec, rank=rank, world=2).steps_per_epoch for rank in range(2)} == {2}
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
    spec.dataset_config.data_sources[0].source_weight = 5.0
    assert train_numbers(spec, 1)[0].count(1) == 3


# Validation


def validation_pass(spec, **options):
    dataset = validation_dataset(spec, **options)
    batches = list(dataset.batches.as_numpy_iterator())
    assert len(batches) == dataset.steps_per_epoch
    return batches


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
    assert training_dataset(spec).size == 2
    with pytest.raises(DataError, match="all empty"):
        validation_dataset(spec, batch_size=1)


# Bad input


def test_no_mapped_class_is_an_error_that_lists_both_sides(make):
    spec = make([image_record(0, (Label("tree", 1, 1, 9, 9),))])
    with pytest.raises(DataError, match=r"hold tree \(1\), the mapping has car, person, van"):
        training_dataset(spec)


def test_records_without_any_object_are_an_error(make):
    record = image_record(0)
    with pytest.raises(DataError, match="no objects at all"):
        training_dataset(make([record.__class__(**{**_fields(record), "labels": ()})]))


def _fields(record):
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def broken(records, number):
    records[number - 1] = image_record(number, records[number - 1].labels, encoded=b"no image")
    return records


def test_a_broken_image_is_named_once_and_the_next_one_takes_its_place(make, caplog):
    spec = make(broken(numbered(5), 3), batch_size_per_gpu=5)
    batches = train_numbers(spec, 3)
    assert [sorted(batch) for batch in batches] == [[1, 2, 4, 4, 5]] * 3
    assert caplog.text.count("image images/000003: its embedded bytes are not a readable JPEG or PNG") == 1


def test_a_missing_image_is_named_and_skipped(tmp_path, caplog):
    records = [image_record(1), image_record(2, encoded=None)]
    write_records(tmp_path / "set", records)
    spec = loading_spec(source(tmp_path / "set", tmp_path), batch_size_per_gpu=2)
    next(iter(training_dataset(spec).batches))
    assert "1 images are not there and will be skipped" in caplog.text
    assert "000002.png: no such image" in caplog.text


def test_a_broken_validation_image_is_left_out_and_not_replaced(make, caplog):
    spec = make(broken(numbered(4), 2), validation_fold=0)
    (batch,) = validation_pass(spec, batch_size=4)
    assert batch["image_valid"].tolist() == [True, False, True, True]
    assert "images/000002" in caplog.text


def test_strict_reads_all_images_first_and_names_the_broken_ones(make):
    spec = make(broken(broken(numbered(5), 3), 5), validation_fold=0)
    with pytest.raises(DataError, match=r"2 of 5 images cannot be read:\n.*000003.*\n.*000005"):
        validation_dataset(spec, batch_size=1, strict=True)
    spec.dataset_config.validation_fold = None
    with pytest.raises(DataError, match="2 of 5 images cannot be read"):
        training_dataset(spec, strict=True)


def test_damaged_record_is_skipped_like_a_broken_image(make, tmp_path, caplog):
    spec = make(numbered(3), batch_size_per_gpu=3)
    path = tmp_path / "set-fold-000-of-001"
    data = bytearray(path.read_bytes())
    # Within the label coordinates: still a valid message, which only the checksum tells from the right one.
    where = data.index(np.float32(12.0).tobytes())
    data[where] ^= 1
    path.write_bytes(bytes(data))
    assert sorted(train_numbers(spec, 1)[0]) == [2, 2, 3]


def test_when_nothing_can_be_read_any_more_training_stops(tmp_path):
    (tmp_path / "images").mkdir()
    image = tmp_path / "images" / "000000.png"
    image.write_bytes(image_bytes(noise_image(0)))
    write_records(tmp_path / "set", [image_record(0, encoded=None)])
    dataset = training_dataset(loading_spec(source(tmp_path / "set", tmp_path), batch_size_per_gpu=1))
    image.unlink()
    with pytest.raises(tf.errors.NotFoundError, match="000000"):
        next(iter(dataset.batches))
