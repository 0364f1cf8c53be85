import re

import h5py
import numpy as np
import pytest

from frcnn.data.input.dataset import calibration_dataset, training_dataset
from frcnn.errors import DataError
from frcnn.exporting.int8.calibration_images import CalibrationImages
from frcnn.exporting.int8.tensor_file import read_tensor_file, write_tensor_file
from frcnn.inference.compare import network_image
from frcnn.settings.data import data_settings, image_settings
from tests.support.image_folders import save
from tests.support.loading import noise_image
from tests.support.toy_training import toy_spec

SHAPE = (3, 128, 160)


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return toy_spec(tmp_path_factory.mktemp("records"), images=6)


@pytest.fixture
def folder(tmp_path):
    for number in range(5):
        save(tmp_path / f"images/{number}.png", noise_image(number))
    return tmp_path / "images"


def loaded(images, spec):
    return list(images.load(data_settings(spec)))


def test_a_folders_images_are_prepared_as_for_inference_and_chosen_by_the_seed(spec, folder):

    settings = image_settings(spec)
    every = [network_image(path, settings).transpose(2, 0, 1) for path in sorted(folder.iterdir())]
    batches = loaded(CalibrationImages(2, 2, folder), spec)
    assert [each.shape for each in batches] == [(2, *SHAPE)] * 2
    found = [
        next(number for number, one in enumerate(every) if np.array_equal(one, image))
        for image in np.concatenate(batches)
    ]
    assert len(set(found)) == 4
    assert found != sorted(found)
    np.testing.assert_array_equal(
        np.concatenate(loaded(CalibrationImages(2, 2, folder), spec)), np.concatenate(batches)
    )


def test_records_that_are_replaced_while_they_are_read_calibrate_nothing(tmp_path):
    spec = toy_spec(tmp_path, images=3, validation=0)
    batches = CalibrationImages(3, 1).load(data_settings(spec))
    next(batches)
    toy_spec(tmp_path, images=4, validation=0)
    with pytest.raises(DataError, match="toy-fold-001-of-002 was replaced while it was in use"):
        list(batches)


def test_training_images_come_once_each_and_not_augmented(spec):
    batches = loaded(CalibrationImages(3, 2), spec)
    plain = (
        next(iter(training_dataset(data_settings(_plain(spec))).batches))["images"]
        .numpy()[0]
        .transpose(2, 0, 1)
    )
    images = np.concatenate(batches)
    assert images.shape == (6, *SHAPE)
    assert len({image.tobytes() for image in images}) == 6
    assert any(np.array_equal(plain, image) for image in images)
    again = calibration_dataset(data_settings(spec), images=4, batch_size=3)
    assert [len(batch["images"]) for batch in again.batches] == [3, 1]


def _plain(spec):
    import dataclasses

    training = dataclasses.replace(spec.training_config, enable_augmentation=False)
    return dataclasses.replace(spec, training_config=training)


def test_a_broken_image_of_a_folder_is_named_in_one_line_without_the_names_of_nodes(spec, folder):
    broken = folder / "3.png"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(DataError) as caught:
        loaded(CalibrationImages(1, 5, folder), spec)
    assert str(caught.value).startswith(f"{broken}: ")
    assert not re.search(r"\n|\{\{|node |Op:|Error\(|b'", str(caught.value))


def test_too_few_images_are_an_error_that_counts_them(spec, folder, tmp_path):
    write_tensor_file(tmp_path / "few.hdf5", [np.zeros((1, *SHAPE), np.float32)])
    asked = r"4 are required \(batches 2 x batch_size 2\)"
    for images, told in (
        (CalibrationImages(2, 2, tensor_file=tmp_path / "few.hdf5"), f"few.hdf5 holds 1 image, but {asked}"),
        (CalibrationImages(3, 2, folder), "images holds 5 images, but 6 are required"),
        (CalibrationImages(4, 2), "the training records hold 6 images, but 8 are required"),
    ):
        with pytest.raises(DataError, match=told):
            loaded(images, spec)


def test_a_tensor_file_is_written_once_and_read_again(spec, folder, tmp_path):
    images = CalibrationImages(2, 2, folder, tmp_path / "images.hdf5")
    first = np.concatenate(loaded(images, spec))
    with h5py.File(tmp_path / "images.hdf5") as file:
        assert list(file) == ["batch0", "batch1"]
    for path in folder.iterdir():
        path.unlink()
    np.testing.assert_array_equal(np.concatenate(loaded(images, spec)), first)
    # Fewer may be taken than it holds.
    fewer = CalibrationImages(1, 3, tensor_file=tmp_path / "images.hdf5")
    np.testing.assert_array_equal(np.concatenate(loaded(fewer, spec)), first[:3])


def test_no_tensor_file_is_left_if_images_are_missing(spec, folder, tmp_path):
    with pytest.raises(DataError):
        loaded(CalibrationImages(3, 2, folder, tmp_path / "out/images.hdf5"), spec)
    assert not list((tmp_path / "out").iterdir())


def test_tensor_files_of_others_are_read_in_the_order_of_their_numbers(tmp_path):
    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        for number in (10, 9, 0):
            file[f"batch{number}/input"] = np.full((2, 1, 4, 5), number, np.float64)
        file["meta/names"] = np.zeros(3)
    batches = list(read_tensor_file(tmp_path / "theirs.h5", (1, 4, 5)))
    assert [each[0, 0, 0, 0] for each in batches] == [0, 9, 10]
    assert {each.dtype for each in batches} == {np.dtype(np.float32)}


def test_a_damaged_byte_is_named_or_does_not_matter(tmp_path):
    path = tmp_path / "a.h5"
    write_tensor_file(path, [np.zeros((1, 1, 2, 2), np.float32)] * 2)
    whole, refused = path.read_bytes(), 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        try:
            list(read_tensor_file(path, (1, 2, 2)))
        except DataError:
            refused += 1
    assert refused > 100


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("no")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["weights"] = np.zeros((3, 3))
    write_tensor_file(tmp_path / "other.h5", [np.zeros((1, 3, 4, 5), np.float32)])
    for name, told in (
        ("text.h5", "cannot be read as an HDF5 file"),
        ("empty.h5", r"empty\.h5: no images found\. Expected arrays with four dimensions"),
        ("other.h5", r"batch0/images has images of 3x4x5; the model takes 3x8x8"),
    ):
        with pytest.raises(DataError, match=told):
            list(read_tensor_file(tmp_path / name, (3, 8, 8)))
