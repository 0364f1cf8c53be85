"""Images of a survey are seen as in training, whatever their depth."""

import numpy as np
import pytest
import tensorflow as tf

from frcnn.data.transforms.preprocess import decode_image
from frcnn.survey.images import opened


@pytest.mark.parametrize("stored", [1, 2, 3, 4])
def test_images_of_12_bits_are_as_bright_as_in_training(stored):
    values = np.random.default_rng(0).integers(0, 2**12, (20, 30, stored), np.uint16)
    data = tf.io.encode_png(values).numpy()
    image = opened(data)
    assert image.mode == ("L" if stored < 3 else "RGB")
    np.testing.assert_array_equal(image.convert("RGB"), decode_image(tf.constant(data), 3).numpy())
