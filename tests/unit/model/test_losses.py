"""The four losses against hand-worked numbers and the plain numpy implementation."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings

from frcnn.model.losses import roi_class_loss, roi_regress_loss, rpn_class_loss, rpn_regress_loss, smooth_l1
from tests.support import draw
from tests.support import reference_losses as reference
from tests.support.graph import compiled

BATCH, ANCHORS, ROIS, CLASSES = 2, 30, 12, 3


@pytest.mark.parametrize(
    ("sigma", "difference", "expected"),
    [
        (3.0, 0.1, 0.045),
        (3.0, 0.5, 0.444444),
        (1.0, 0.5, 0.125),
        (1.0, 2.0, 1.5),
        (3.0, -0.5, 0.444444),
        (1.0, 0, 0),
    ],
)
def test_smooth_l1_gives_the_golden_numbers(sigma, difference, expected):
    np.testing.assert_allclose(smooth_l1(np.float32([difference]), sigma), [expected], rtol=1e-5)
    np.testing.assert_allclose(reference.smooth_l1(difference, sigma), expected, rtol=1e-5)


def rpn_inputs(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    sampled = rng.random((BATCH, ANCHORS)) < 0.4
    return {
        "probabilities": rng.uniform(0, 1, (BATCH, ANCHORS)).astype(np.float32),
        "sampled": sampled,
        "positive": sampled & (rng.random((BATCH, ANCHORS)) < 0.3),
        "codes": rng.normal(size=(BATCH, ANCHORS, 4)).astype(np.float32),
        "target_codes": rng.normal(size=(BATCH, ANCHORS, 4)).astype(np.float32),
    }


def roi_inputs(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    sampled = rng.random((BATCH, ROIS)) < 0.8
    positive = sampled & (rng.random((BATCH, ROIS)) < 0.4)
    chances = rng.dirichlet(np.ones(CLASSES + 1), (BATCH, ROIS))
    return {
        "probabilities": chances.astype(np.float32),
        "labels": np.where(positive, rng.integers(0, CLASSES, (BATCH, ROIS)), CLASSES).astype(np.int32),
        "sampled": sampled,
        "positive": positive,
        "codes": rng.normal(size=(BATCH, ROIS, CLASSES, 4)).astype(np.float32),
        "target_codes": rng.normal(size=(BATCH, ROIS, 4)).astype(np.float32),
    }


CASES = [
    (rpn_class_loss, reference.rpn_class_loss, rpn_inputs, ("probabilities", "sampled", "positive")),
    (rpn_regress_loss, reference.rpn_regress_loss, rpn_inputs, ("codes", "target_codes", "positive")),
    (roi_class_loss, reference.roi_class_loss, roi_inputs, ("probabilities", "labels", "sampled")),
    (
        roi_regress_loss,
        reference.roi_regress_loss,
        roi_inputs,
        ("codes", "target_codes", "labels", "positive"),
    ),
]
each_loss = pytest.mark.parametrize(
    ("loss", "plain", "inputs", "names"), CASES, ids=lambda c: getattr(c, "__name__", "")
)


@each_loss
@given(seed=draw.seeds)
@settings(max_examples=10, deadline=None)
def test_loss_agrees_with_numpy(loss, plain, inputs, names, seed):
    arguments = [inputs(seed)[name] for name in names]
    value = loss(*arguments, mini_batch=16)
    assert value.shape == ()
    np.testing.assert_allclose(value, plain(*arguments, 16), rtol=1e-5)


@each_loss
def test_loss_is_zero_when_nothing_was_sampled(loss, plain, inputs, names):
    arguments = inputs(0)
    nothing = {name: np.zeros_like(arguments[name]) for name in ("sampled", "positive")}
    assert float(loss(*[{**arguments, **nothing}[name] for name in names], mini_batch=16)) == 0.0


@each_loss
def test_loss_of_a_batch_is_the_mean_over_its_images(loss, plain, inputs, names):
    arguments = [inputs(1)[name] for name in names]
    single = [loss(*[value[i : i + 1] for value in arguments], mini_batch=16) for i in range(BATCH)]
    np.testing.assert_allclose(loss(*arguments, mini_batch=16), np.mean(single), rtol=1e-5)


@each_loss
def test_loss_divides_by_the_configured_mini_batch(loss, plain, inputs, names):
    arguments = [inputs(2)[name] for name in names]
    small, large = loss(*arguments, mini_batch=16), loss(*arguments, mini_batch=64)
    np.testing.assert_allclose(small, 4 * np.asarray(large), rtol=1e-5)


@each_loss
def test_only_chosen_rows_get_a_gradient_and_it_is_finite(loss, plain, inputs, names):
    values = inputs(3)
    chosen = values["positive"] if "positive" in names and "sampled" not in names else values["sampled"]
    prediction = tf.constant(values[names[0]])
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        total = loss(prediction, *[values[name] for name in names[1:]], mini_batch=16)
    slopes = np.asarray(tf.convert_to_tensor(tape.gradient(total, prediction)))
    touched = np.any(slopes.reshape(*chosen.shape, -1) != 0, axis=-1)
    assert np.isfinite(slopes).all()
    np.testing.assert_array_equal(touched, chosen)


@each_loss
def test_graph_mode_agrees_with_eager(loss, plain, inputs, names):
    arguments = [inputs(4)[name] for name in names]

    def function(*tensors):
        return loss(*tensors, mini_batch=16)

    np.testing.assert_allclose(compiled(function, *arguments), function(*arguments), rtol=1e-6)


def test_rpn_class_loss_is_worked_by_hand():
    # Two of three anchors count: a positive at 0.8, a negative at 0.4; -(ln 0.8 + ln 0.6) / 256.
    loss = rpn_class_loss(
        np.float32([[0.8, 0.4, 0.9]]), np.array([[True, True, False]]), np.array([[True, False, False]]), 256
    )
    np.testing.assert_allclose(loss, -(np.log(0.8) + np.log(0.6)) / 256, rtol=1e-5)


def test_roi_regress_loss_reads_the_true_class_only():
    codes = np.full((1, 1, 3, 4), 100.0, np.float32)
    codes[0, 0, 1] = [0.5, 2.0, 0.0, 0.0]
    truth = np.array([[1]], np.int32), np.array([[True]])
    loss = roi_regress_loss(codes, np.zeros((1, 1, 4), np.float32), *truth, 2)
    np.testing.assert_allclose(loss, (0.125 + 1.5) / 2, rtol=1e-6)


def test_saturated_probabilities_cost_at_most_the_clipped_logarithm():
    # float32 has no number at 1 - 1e-7, so the side at 1 may be off by one step: 15.9 instead of 16.1.
    both = np.array([[True, True]]), np.array([[True, False]])
    loss = rpn_class_loss(np.float32([[0.0, 1.0]]), *both, 1)
    np.testing.assert_allclose(loss, -2 * np.log(1e-7), rtol=0.01)
    loss = roi_class_loss(np.float32([[[0.0, 1.0]]]), np.array([[0]], np.int32), np.array([[True]]), 1)
    np.testing.assert_allclose(loss, -np.log(1e-7), rtol=1e-5)
