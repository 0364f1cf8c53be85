"""Changes of color against a step-by-step second implementation in the reference's order."""

import numpy as np
import pytest
import tensorflow as tf

from frcnn.data.settings import ColorSettings
from frcnn.data.transforms.color import ColorDraw, change_color, draw_color
from tests.support.loading import noise_image

TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def draw(shift=0.0, hue=0.0, saturation=1.0, contrast=1.0):
    return ColorDraw(*(tf.constant(value, tf.float32) for value in (shift, hue, saturation, contrast)))


def changed(pixels, change, center=0.5):
    return change_color(tf.constant(pixels, tf.float32), change, center).numpy()


def stepwise(pixels, shift, hue, saturation, contrast, center):
    values = pixels / 255.0 * contrast + (1 - contrast) * center
    y, i, q = np.moveaxis(values @ TO_YIQ.T, -1, 0)
    turned = (i + 1j * q) * np.exp(1j * hue) * saturation
    values = np.stack([y, turned.real, turned.imag], axis=-1) @ np.linalg.inv(TO_YIQ).T
    return np.clip(values + shift, 0, 1) * 255


@pytest.mark.parametrize("values", [(0.1, 0, 1, 1), (0, 0.5, 1, 1), (0, 0, 1.4, 1), (-0.05, 0.3, 0.7, 1.2)])
def test_one_map_equals_the_steps_one_by_one(values):
    pixels = noise_image(1, 8, 9)
    expected = stepwise(pixels.astype(float), *values, center=0.4)
    np.testing.assert_allclose(changed(pixels, draw(*values), 0.4), expected, atol=0.01)


def test_contrast_does_not_scale_the_shift_of_brightness():
    gray = np.full((1, 1, 3), 0.6 * 255)
    # Half the contrast about 0.5 makes 0.55 of 0.6; 0.2 is added to that.
    np.testing.assert_allclose(changed(gray, draw(shift=0.2, contrast=0.5)), 0.75 * 255, rtol=1e-5)


def test_no_change_leaves_pixels_alone():
    pixels = noise_image(2)
    np.testing.assert_allclose(changed(pixels, draw()), pixels, atol=1e-3)


def test_hue_and_saturation_leave_gray_gray():
    gray = np.full((2, 2, 3), 80.0)
    np.testing.assert_allclose(changed(gray, draw(hue=1.0, saturation=2.0)), gray, atol=0.2)


def test_no_saturation_gives_brightness_only():
    result = changed(noise_image(3), draw(saturation=0.0))
    np.testing.assert_allclose(result, np.repeat(result[..., :1], 3, axis=-1), atol=0.3)


def test_contrast_leaves_its_center():
    center = np.full((1, 1, 3), 0.25 * 255)
    np.testing.assert_allclose(changed(center, draw(contrast=1.7), 0.25), center, rtol=1e-5)


def test_draws_fill_their_ranges_and_keep_to_them():
    settings = ColorSettings(shift_stddev=0.1, hue_max=30.0, saturation_max=0.2, contrast_max=0.4)
    seeds = tf.stack([tf.zeros([500], tf.int64), tf.range(500, dtype=tf.int64)], axis=1)
    draws = tf.map_fn(
        lambda seed: tf.stack(draw_color(settings, seed)), seeds, fn_output_signature=tf.float32
    )
    limits = [(-0.2, 0.2), (-np.radians(30), np.radians(30)), (0.8, 1.2), (0.6, 1.4)]
    for values, (low, high) in zip(draws.numpy().T, limits, strict=True):
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < values.max() <= high
    # A normal distribution with a deviation of 0.1, cut at 0.2, has a deviation of 0.088.
    assert draws.numpy()[:, 0].std() == pytest.approx(0.088, rel=0.1)


def test_settings_of_zero_change_nothing():
    assert not ColorSettings().active
    values = draw_color(ColorSettings(), tf.constant([1, 2], tf.int64))
    np.testing.assert_array_equal(tf.stack(values), [0, 0, 1, 1])
