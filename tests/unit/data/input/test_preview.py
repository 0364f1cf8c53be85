"""The preview shows what the loader makes."""

import numpy as np

from frcnn.data.input.preview import preview_samples
from frcnn.settings.data import data_settings
from tests.support.loading import ImageType, image_record, loading_spec, noise_image, source, write_records


def spec_of(tmp_path, count, **changes):
    write_records(tmp_path / "set", [image_record(number) for number in range(count)])
    return loading_spec(source(tmp_path / "set"), **changes)


def test_each_row_begins_with_the_image_itself_even_if_augmentation_is_off(tmp_path):
    spec = spec_of(tmp_path, 5, hflip_probability=1.0, enable_augmentation=False)
    rows = preview_samples(data_settings(spec), images=3, variants=2)
    assert [len(row) for row in rows] == [3, 3, 3]
    for row, number in zip(rows, (0, 2, 4), strict=True):
        np.testing.assert_array_equal(row[0].pixels, noise_image(number))
        np.testing.assert_array_equal(row[0].boxes, [[8, 10, 20, 30]])
        np.testing.assert_array_equal(row[0].classes, [1])
        for variant in row[1:]:
            np.testing.assert_array_equal(variant.pixels, noise_image(number)[:, ::-1])
            np.testing.assert_array_equal(variant.boxes, [[8, 30, 20, 50]])


def test_variants_differ(tmp_path):
    (row,) = preview_samples(data_settings(spec_of(tmp_path, 1, translate_max_x=20.0)), images=4, variants=3)
    assert len({sample.pixels.tobytes() for sample in row}) == 4


def test_gray_images_are_shown_in_three_channels(tmp_path):
    spec = spec_of(tmp_path, 1, image_type=ImageType.GRAY_SCALE)
    assert preview_samples(data_settings(spec), 1, 1)[0][0].pixels.shape == (40, 60, 3)
